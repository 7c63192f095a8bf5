"""What a turn of the reactor takes in, and what it asks for."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio

from afresh.assets.planner.changes import Commands
from afresh.assets.planner.nodes import Attempt
from afresh.assets.planner.planner import Change
from afresh.daemon.attempts.outcome_rows import Outcome
from afresh.daemon.workers.task import Result, Task
from afresh.sensors.base import Batch
from afresh.storage.ledger.commit import Update


@dataclass(slots=True)
class Offered:
    """A batch of a sensor, and who waits for its acknowledgement."""

    batch: Batch
    acknowledged: anyio.Event
    error: Exception | None = None


@dataclass(slots=True)
class Finished:
    """An attempt that ended in its worker."""

    attempt: Attempt
    result: Result | None


@dataclass(slots=True)
class Begun:
    """An attempt that begins; `recorded` is set when its row is durable, the scope ends it."""

    attempt: Attempt
    task: Task
    scope: anyio.CancelScope
    recorded: anyio.Event = field(default_factory=anyio.Event)


@dataclass(slots=True)
class Step:
    """What a step of the planner asks for: rows to write, then attempts to begin."""

    commands: Commands = field(default_factory=Commands)
    updates: list[Update] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    begun: list[Begun] = field(default_factory=list)


@dataclass(slots=True)
class Told:
    """A call from outside: it makes rows and changes for the next epoch; its answer is awaited."""

    make: Callable[[int], tuple[list[Update], list[Change]]]
    after: Callable[[int], None] | None
    """Called when the commit is durable, before the planner's step: the call is alone in its turn.

    A planner that it puts in place has all before from the ledger, and must be told of none of it
    again (P1).
    """
    done: anyio.Event
    error: Exception | None = None


Item = Offered | Finished | Told


@dataclass(slots=True)
class Taken:
    """What a turn has taken in: rows to write, what the planner is told, events that are new."""

    updates: list[Update]
    changes: list[Change]
    events: list[dict[str, Any]]
    ends: list[Outcome] = field(default_factory=list)


def take_turn(inbox: list[Item]) -> tuple[list[Item], list[Item]]:
    """Split what has come into what one turn takes in, and what is left for the next."""
    for place, item in enumerate(inbox):
        if isinstance(item, Told) and item.after is not None:
            end = place or 1
            return inbox[:end], inbox[end:]
    return inbox, []
