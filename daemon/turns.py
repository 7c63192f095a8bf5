"""What a turn of the reactor takes in, and what it asks for."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio

from afresh.assets.planner.changes import Commands
from afresh.assets.planner.nodes import Attempt
from afresh.assets.planner.planner import Change
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

    commands: Commands
    updates: list[Update] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    begun: list[Begun] = field(default_factory=list)


@dataclass(slots=True)
class Told:
    """A call from outside: it makes rows and changes for the next epoch; its answer is awaited."""

    make: Callable[[int], tuple[list[Update], list[Change]]]
    after: Callable[[int], None]
    """Called when the commit is durable, before the planner's step."""
    done: anyio.Event
    error: Exception | None = None


Item = Offered | Finished | Told
