"""Refresh policies as the manifest has them: plain data, frozen, told apart by their tags."""

from typing import Literal

import msgspec

Missed = Literal["none", "last", "all"]


class Cron(msgspec.Struct, frozen=True, tag="cron"):
    """Ticks at the wall-clock times of an IANA zone that an expression names.

    Each tick is late by up to `jitter_seconds`, always by the same for the same tick and name.
    """

    expression: str
    tz: str = "UTC"
    jitter_seconds: float = 0.0
    missed: Missed = "last"


class Every(msgspec.Struct, frozen=True, tag="every"):
    """Ticks at every multiple of a period since 1970 (UTC), whatever the clocks on the wall do."""

    period_seconds: float
    jitter_seconds: float = 0.0
    missed: Missed = "last"


Schedule = Cron | Every


class Eager(msgspec.Struct, frozen=True, tag="eager"):
    """Runs whenever something that it reads has changed."""


class Manual(msgspec.Struct, frozen=True, tag="manual"):
    """Runs when someone asks for it."""


class Freshness(msgspec.Struct, frozen=True, tag="freshness"):
    """Runs so that no change is left out of it for longer than that, as late as that allows."""

    goal_seconds: float


class Debounce(msgspec.Struct, frozen=True, tag="debounce"):
    """Runs after a quiet time: at the latest so long after the first change, or at `most` changes.

    0 stands for any number of them.
    """

    quiet_seconds: float
    longest_seconds: float
    most: int = 0


class AllNew(msgspec.Struct, frozen=True, tag="all_new"):
    """Each of these inputs has a version that the last run did not read; none named: all inputs."""

    names: tuple[str, ...] = ()


class AnyNew(msgspec.Struct, frozen=True, tag="any_new"):
    """One of these inputs has a version that the last run did not read; none named: all inputs."""

    names: tuple[str, ...] = ()


class Both(msgspec.Struct, frozen=True, tag="both"):
    """Both conditions hold."""

    left: "Condition"
    right: "Condition"


class Either(msgspec.Struct, frozen=True, tag="either"):
    """One condition holds, or both."""

    left: "Condition"
    right: "Condition"


Condition = AllNew | AnyNew | Both | Either
Policy = Eager | Manual | Cron | Every | Freshness | Debounce | AllNew | AnyNew | Both | Either


class Budget(msgspec.Struct, frozen=True):
    """How often a source's data may be read in a time: `count` readings in so many seconds."""

    count: int
    seconds: float

    def __str__(self) -> str:
        """As it is declared: `1000/1m`."""
        return f"{self.count}/{span(self.seconds)}"


def is_root(policy: Policy) -> bool:
    """Whether it may leave an asset behind: then readers go on with the last version (P3)."""
    return not isinstance(policy, Eager | Debounce)


def holds(condition: Condition, new: set[str], inputs: tuple[str, ...]) -> bool:
    """Whether a condition holds when the inputs `new` have versions that were not read."""
    match condition:
        case AllNew(names):
            return new.issuperset(names or inputs)
        case AnyNew(names):
            return not new.isdisjoint(names or inputs)
        case Both(left, right):
            return holds(left, new, inputs) and holds(right, new, inputs)
        case Either(left, right):
            return holds(left, new, inputs) or holds(right, new, inputs)


def named_inputs(policy: Policy) -> tuple[str, ...]:
    """Give the inputs that a condition names, in its order."""
    match policy:
        case AllNew(names) | AnyNew(names):
            return names
        case Both(left, right) | Either(left, right):
            return (*named_inputs(left), *named_inputs(right))
    return ()


def rename_inputs(condition: Condition, parameters: dict[str, str]) -> Condition:
    """Give a condition with the parameters that the names of its assets stand for."""
    match condition:
        case AllNew(names):
            return AllNew(tuple(parameters.get(name, name) for name in names))
        case AnyNew(names):
            return AnyNew(tuple(parameters.get(name, name) for name in names))
        case Both(left, right):
            return Both(rename_inputs(left, parameters), rename_inputs(right, parameters))
        case Either(left, right):
            return Either(rename_inputs(left, parameters), rename_inputs(right, parameters))


def describe(policy: Policy) -> str:
    """Write a policy as it is declared: `cron("0 6 * * *", tz="Europe/Berlin")`."""
    match policy:
        case Eager():
            return "eager"
        case Manual():
            return "manual"
        case Cron(expression, tz):
            return f'cron("{expression}", tz="{tz}"{_timing(policy)})'
        case Every(period):
            return f'every("{span(period)}"{_timing(policy)})'
        case Freshness(goal):
            return f'freshness("{span(goal)}")'
        case Debounce(quiet, longest, most):
            limit = f", most={most}" if most else ""
            return f'debounce(quiet="{span(quiet)}", longest="{span(longest)}"{limit})'
        case AllNew(names) | AnyNew(names):
            word = "all_new" if isinstance(policy, AllNew) else "any_new"
            quoted = ", ".join([f'"{name}"' for name in names])
            return f"{word}({quoted})"
        case Both(left, right):
            return f"{_nested(left)} & {_nested(right)}"
        case Either(left, right):
            return f"{describe(left)} | {describe(right)}"


def _nested(condition: Condition) -> str:
    text = describe(condition)
    return f"({text})" if isinstance(condition, Either) else text


def _timing(schedule: Schedule) -> str:
    jitter = schedule.jitter_seconds
    text = f', jitter="{span(jitter)}"' if jitter else ""
    return text + (f', missed="{schedule.missed}"' if schedule.missed != "last" else "")


def span(seconds: float) -> str:
    """Write a number of seconds as durations are written: 90 is "90s", 600 is "10m"."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size and not seconds % size:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s" if seconds >= 1 else f"{seconds * 1000:g}ms"
