"""What users write as `refresh=`, and as a source of ticks: `cron`, `every`, `manual` and so on.

Each gives plain data. What is wrong with an option is told when the definitions load, with the
place of the asset that it belongs to.
"""

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any, Generic, TypeVar
from zoneinfo import ZoneInfo

import msgspec
from cronsim import CronSim, CronSimError

from afresh.assets.declare import Declared
from afresh.assets.duration import seconds
from afresh.assets.errors import DefinitionError
from afresh.assets.manifest import Sensor
from afresh.assets.nearest import did_you_mean
from afresh.assets.policy import (
    AllNew,
    AnyNew,
    Both,
    Condition,
    Cron,
    Debounce,
    Eager,
    Either,
    Every,
    Freshness,
    Manual,
    Missed,
    Policy,
    Schedule,
    named_inputs,
    rename_inputs,
)

__all__ = ["all_new", "any_new", "cron", "debounce", "every", "freshness", "manual"]
MISSED = ("none", "last", "all")
SHORTEST_SECONDS = 0.1
_EXAMPLES = {
    "all_new": "all_new()",
    "any_new": "any_new()",
    "cron": 'cron("0 6 * * *")',
    "debounce": 'debounce(quiet="5s")',
    "every": 'every("15m")',
    "freshness": 'freshness("10m")',
    "manual": "manual()",
}
_SOME_DAY = datetime(2024, 1, 1)  # noqa: DTZ001 - wall-clock time of no zone
P = TypeVar("P", bound=Policy)


class Refresh(Generic[P]):
    """A policy as declared: the policy, or why there is none."""

    def __init__(self, make: Callable[[], P]) -> None:
        self._policy: P | None = None
        self._error: DefinitionError | None = None
        try:
            self._policy = make()
        except DefinitionError as error:
            self._error = error

    def policy(self) -> P:
        """Give the policy. Raises DefinitionError for a wrong option."""
        if self._error is not None:
            raise self._error
        assert self._policy is not None
        return self._policy


class Ticks(Refresh[Schedule]):
    """A schedule: a policy of an asset, or the sensor of a source whose records are its ticks."""

    def declared(self) -> Declared:
        """Work out the source's side. Raises DefinitionError for a wrong option."""
        options = msgspec.to_builtins(self.policy())
        return Declared(Sensor("schedule", options), format="json", stream=True)


class When(Refresh[Condition]):
    """A condition; `&` and `|` make others of it."""

    def __and__(self, other: "When") -> "When":
        """Both must hold."""
        return When(lambda: Both(self.policy(), _condition("&", other)))

    def __or__(self, other: "When") -> "When":
        """One must hold."""
        return When(lambda: Either(self.policy(), _condition("|", other)))


def cron(
    expression: str, *, tz: str = "UTC", jitter: float | str = 0, missed: Missed = "last"
) -> Ticks:
    """Tick at wall-clock times: `cron("0 6 * * *", tz="Europe/Berlin")`.

    As `refresh=` of an asset: it runs at a tick, if something that it reads has changed; one that
    reads nothing runs at every tick. As the sensor of a source: each tick is a record
    `{"scheduled_at", "tick"}`.

    Five fields (minute, hour, day of month, month, day of week; `*/5`, `1-5`, `MON`, `L`, `MON#2`),
    or six with the seconds first. Each wall-clock time ticks once: one that the clocks skip at the
    end of the gap, one that they show twice at its first coming. `jitter` delays each tick by up to
    that, a fixed time for each tick. `missed` says what follows of ticks while the daemon was down
    or the machine slept: the "last" one stands for all, "none" is made up for, or "all" are (by an
    asset in one run: it would find nothing to do in the others).
    """
    return Ticks(
        lambda: Cron(
            _expression(expression, _zone(tz)), tz, _span("jitter", jitter), _missed(missed)
        )
    )


def every(period: float | str, *, jitter: float | str = 0, missed: Missed = "last") -> Ticks:
    """Tick at every multiple of a period since 1970 (UTC): `every("15m")` at :00, :15, :30, :45.

    In seconds, or "500ms", "30s", "15m", "2h", "1d". `jitter` and `missed` are as of `cron`.
    """
    return Ticks(
        lambda: Every(
            _span("period", period, least=SHORTEST_SECONDS),
            _span("jitter", jitter),
            _missed(missed),
        )
    )


def manual() -> Refresh[Manual]:
    """Run when someone asks: `afresh materialize`. Readers go on with the last version."""
    return Refresh(Manual)


def freshness(goal: float | str) -> Refresh[Freshness]:
    """Let no change be left out for longer than `goal`, with as few runs as possible.

    It starts as late as the goal allows, less what its runs have lately taken. Assets that it reads
    are brought along in time if they have a freshness of their own, however generous; what others
    of them leave behind (manual, cron, conditions) counts from when they run.
    """
    return Refresh(lambda: Freshness(_span("goal", goal, least=SHORTEST_SECONDS)))


def debounce(
    *, quiet: float | str, longest: float | str = "1m", most: int = 0
) -> Refresh[Debounce]:
    """Run when nothing that it reads has changed for `quiet`; `longest` after the first change.

    Or as soon as `most` changes have come (0: any number). Readers wait with it.
    """
    return Refresh(
        lambda: Debounce(
            _span("quiet", quiet), _longest(_span("longest", longest), quiet), _most(most)
        )
    )


def all_new(*inputs: str) -> When:
    """Run when each of these inputs has a version that the last run did not read; none: all.

    Inputs are named by parameter or by asset. Conditions compose with `&` and `|`:
    `all_new("a", "b") | any_new("c")`.
    """
    return When(lambda: AllNew(_names(inputs)))


def any_new(*inputs: str) -> When:
    """Run when one of these inputs has a version that the last run did not read; none: any."""
    return When(lambda: AnyNew(_names(inputs)))


def read_policy(value: object) -> Policy:
    """Read what stands in `refresh=`. Raises DefinitionError for anything else."""
    if isinstance(value, Refresh):
        policy: Policy = value.policy()
        return Eager() if policy == AnyNew() else policy
    if value == "eager":
        return Eager()
    if value == "manual":
        return Manual()
    if value in (all_new, any_new, cron, debounce, every, freshness, manual):
        name = value.__name__
        raise DefinitionError(
            f"Expected {name}(...) in refresh=, found the function {name}",
            hint=f"call it: refresh={_EXAMPLES[name]}",
        )
    choices = ("eager", "manual", *(f"{name}(...)" for name in __all__ if name != "manual"))
    raise DefinitionError(
        f"Expected refresh of {', '.join(map(repr, choices))}, found {value!r}",
        hint=did_you_mean(str(value), ["eager", *__all__], 'write refresh=cron("0 6 * * *")'),
    )


def bind_inputs(policy: Policy, inputs: Collection[tuple[str, str]]) -> Policy:
    """Give a policy whose conditions name parameters; `inputs` are (parameter, asset).

    Raises DefinitionError for a name that is no input.
    """
    parameters = {asset: parameter for parameter, asset in inputs}
    parameters |= {parameter: parameter for parameter, _ in inputs}
    for name in named_inputs(policy):
        if name not in parameters:
            raise DefinitionError(
                f"Expected an input in a condition of refresh=, found {name!r}",
                hint=did_you_mean(
                    name, parameters, f"its inputs: {', '.join(parameters) or 'none'}"
                ),
            )
    if isinstance(policy, AllNew | AnyNew | Both | Either):
        if not parameters:
            raise DefinitionError(
                "Expected inputs for a condition in refresh=, found none",
                hint='an asset that reads nothing runs at ticks: refresh=every("1h")',
            )
        return rename_inputs(policy, parameters)
    return policy


def _condition(sign: str, value: object) -> Condition:
    if isinstance(value, When):
        return value.policy()
    if isinstance(value, Refresh):
        name = type(value.policy()).__name__.lower()
        raise DefinitionError(
            f"Expected a condition after {sign}, found {name}(...)",
            hint='conditions are all_new(...) and any_new(...): all_new("a") | any_new("b")',
        )
    raise DefinitionError(
        f"Expected a condition after {sign}, found {value!r}",
        hint=f'write all_new("a") {sign} any_new("b")',
    )


def _expression(text: Any, zone: ZoneInfo) -> str:
    del zone
    try:
        found = next(CronSim(text, _SOME_DAY), None)
    except (CronSimError, AttributeError, TypeError) as error:
        raise DefinitionError(
            f"Expected a cron expression, found {text!r} ({error})",
            hint='five fields: minute, hour, day, month, day of week, as in "0 6 * * MON-FRI"',
        ) from None
    if found is None:
        raise DefinitionError(
            f"Expected a cron expression that matches a day, found {text!r}",
            hint="check day and month",
        )
    return " ".join(text.split())


def _zone(name: Any) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, TypeError, OSError):
        raise DefinitionError(
            f"Expected the name of an IANA time zone, found {name!r}",
            hint='write tz="Europe/Berlin"',
        ) from None


def _span(option: str, value: Any, *, least: float = 0.0) -> float:
    try:
        number = seconds(value)
    except ValueError as error:
        raise DefinitionError(str(error), hint=f"this is the option {option}") from None
    if number < least:
        raise DefinitionError(
            f"Expected {option} of {least:g} seconds or more, found {value!r}",
            hint="write a duration like '30s', '5m', '2h'",
        )
    return number


def _longest(longest: float, quiet: Any) -> float:
    if longest < seconds(quiet):
        raise DefinitionError(
            f"Expected longest of at least quiet={quiet!r}, found {longest:g} seconds",
            hint='write debounce(quiet="5s", longest="1m")',
        )
    return longest


def _most(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise DefinitionError(
        f"Expected most as a number of changes, found {value!r}", hint="write most=1000"
    )


def _missed(value: Any) -> Missed:
    if value in MISSED:
        chosen: Missed = value
        return chosen
    raise DefinitionError(
        f"Expected missed of {', '.join(map(repr, MISSED))}, found {value!r}",
        hint=did_you_mean(str(value), MISSED, 'write missed="last"'),
    )


def _names(inputs: tuple[Any, ...]) -> tuple[str, ...]:
    for name in inputs:
        if not isinstance(name, str):
            raise DefinitionError(
                f"Expected names of inputs in a condition, found {name!r}",
                hint='write all_new("orders", "customers")',
            )
    return tuple(dict.fromkeys(inputs))
