"""What the reactor is given: time, ids, randomness, and where its effects go."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

import anyio

from afresh.assets.planner.nodes import Attempt, Node
from afresh.assets.planner.planner import Planner
from afresh.assets.planner.segments import Most
from afresh.daemon.lines import Lines
from afresh.daemon.workers.task import Result, Task
from afresh.sensors.base import Identity, ObjectIdentity
from afresh.storage.ledger.commit import Ledger, Require, Update


class Outbox(Protocol):
    """What others are to be told of a commit: rows of the same commit."""

    def rows(self, updates: Sequence[Update]) -> list[Update]:
        """Give the rows for what these updates make visible."""
        ...

    def tell(self) -> None:
        """Take note that rows have become durable."""
        ...

    def forget(self, target: str, count: int) -> None:
        """Take note that so many for a target wait no more."""
        ...


class Executor(Protocol):
    """What runs tasks: a pool of processes here, Ray there."""

    @property
    def size(self) -> int:
        """How many tasks run at once."""
        ...

    @property
    def lent(self) -> int:
        """How many more run at once, while as many wait for a server."""
        ...

    async def run(self, task: Task, recorded: anyio.Event) -> Result:
        """Run one task to its end; what user code does is in the result. Cancelling ends it.

        It may read at once, but calls no asset's function and writes nothing before `recorded` is
        set.
        """
        ...


@dataclass(slots=True)
class Ports:
    """Where time, ids, randomness and effects come from: daemon/app.py supplies them."""

    now: Callable[[], float]
    new_id: Callable[[], str]
    random: Random
    ledger: Ledger
    executor: Executor
    require: tuple[Require, ...]
    artifacts: str
    path_of: Callable[[str], str]
    relative_of: Callable[[str], str]
    discard: Callable[[list[str]], Coroutine[Any, Any, None]]
    most_new: Most = field(default_factory=Most)
    outbox: Outbox | None = None
    lines: Lines = field(default_factory=Lines)
    on_trouble: Callable[[Node, bool], None] = lambda _node, _well: None
    on_events: Callable[[list[dict[str, Any]]], None] = lambda _events: None
    on_end: Callable[[Attempt, Result], list[Update]] = lambda _attempt, _result: []
    depth_of: Callable[[Attempt], int] = lambda _attempt: 0
    depth_of_run: Callable[[str], int] = lambda _run: 0
    after_step: Callable[[Planner], None] = lambda _planner: None
    on_read: Callable[[str, str, Identity | ObjectIdentity], None] = (
        lambda _source, _uri, _identity: None
    )
