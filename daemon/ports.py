"""What the reactor is given: time, ids, randomness, and where its effects go."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

import anyio

from afresh.assets.planner.nodes import Node
from afresh.daemon.lines import Lines
from afresh.daemon.workers.task import Result, Task
from afresh.sensors.base import Identity, ObjectIdentity
from afresh.storage.ledger.commit import Ledger, Require


class Executor(Protocol):
    """What runs tasks: a pool of processes here, Ray there."""

    @property
    def size(self) -> int:
        """How many tasks run at once."""
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
    lines: Lines = field(default_factory=Lines)
    on_trouble: Callable[[Node, bool], None] = lambda _node, _well: None
    on_read: Callable[[str, str, Identity | ObjectIdentity], None] = (
        lambda _source, _uri, _identity: None
    )
