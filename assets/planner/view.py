"""What the planner says of a unit to people: its state and the reasons for it."""

from typing import Literal

import msgspec

State = Literal["running", "paused", "held", "failed", "blocked", "stale", "missing", "fresh"]


class Reason(msgspec.Struct, frozen=True):
    """One reason.

    `kind` is input, code, parameter, new, request, event, failed, rejected, blocked, missing,
    paused, policy, deleted, suspect, waiting, running, retry. `ref` names the unit (`orders[k]@3`)
    or the run it is about, `event` the journal's seq where one is known, `detail` is one plain
    sentence.
    """

    kind: str
    detail: str
    ref: str = ""
    event: int | None = None


class UnitView(msgspec.Struct, frozen=True):
    """One unit as `afresh status` shows it: the head's `version`, settled at `epoch`."""

    asset: str
    partition: str
    kind: Literal["source", "asset"]
    state: State
    version: int | None
    epoch: int
    updated_at: float | None
    reasons: tuple[Reason, ...]
    will_run: bool = False
    """Stale for certain, not only because something upstream may change."""
