"""Builds notifiers from settings. A kind that is not known here is looked for as an entry point."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from afresh.daemon.notifiers.base import Alert, Notifier, NotifierError

ENTRY_POINTS = "afresh.notifiers"
KINDS = {
    "command": ("afresh.daemon.notifiers.command", "CommandNotifier"),
    "webhook": ("afresh.daemon.notifiers.webhook", "WebhookNotifier"),
}
"""Where the kinds are; imported when used, since TLS alone costs the daemon some MB."""


class OwnersOnly(Notifier):
    """Passes on the alerts of some owners, so that each team has its own way to be told."""

    def __init__(self, notifier: Notifier, owners: Sequence[str]) -> None:
        self.notifier = notifier
        self.owners = frozenset(owners)

    async def notify(self, alert: Alert) -> None:
        """Deliver it if its owner is one of ours."""
        if alert.owner in self.owners:
            await self.notifier.notify(alert)


def build(kind: str, options: Mapping[str, Any]) -> Notifier:
    """One notifier; `owners` among its options limits it to their alerts. Raises NotifierError."""
    given = dict(options)
    owners = given.pop("owners", None)
    if owners is not None and (
        not isinstance(owners, list) or not all(isinstance(owner, str) for owner in owners)
    ):
        raise NotifierError(
            f"Expected a list of owners, found {owners!r}", hint='write owners = ["data-team"]'
        )
    make = _own(kind) if kind in KINDS else _third_party(kind)
    try:
        notifier = make(**given)
    except TypeError as error:
        raise NotifierError(
            f"Expected options that the notifier {kind!r} takes, found {sorted(given)}",
            hint=str(error),
        ) from error
    return notifier if owners is None else OwnersOnly(notifier, owners)


def _own(kind: str) -> Callable[..., Notifier]:
    module, name = KINDS[kind]
    made: Callable[..., Notifier] = getattr(import_module(module), name)
    return made


def _third_party(kind: str) -> Callable[..., Notifier]:
    # Costs 40 ms at import, and only third parties' kinds need it.
    from importlib.metadata import entry_points  # noqa: PLC0415

    found = {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}
    if kind not in found:
        raise NotifierError(
            f"Expected a kind of notifier, found {kind!r}",
            hint=f"known: {', '.join(sorted({*KINDS, *found}))}",
        )
    made: Callable[..., Notifier] = found[kind].load()
    return made
