"""`custom(...)`: a sensor that is the user's own async generator. A pure declaration."""

import inspect
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

import msgspec

from afresh.assets.declare import Declared, Option
from afresh.assets.duration import seconds
from afresh.assets.errors import DefinitionError
from afresh.assets.manifest import Sensor

Poll = Callable[[Any], AsyncGenerator[Any, None]]


class CustomSpec(msgspec.Struct, frozen=True):
    """A generator, as `custom(...)` was called; checked when the definitions load."""

    poll: Any
    start: Any
    every: object
    stall: object
    timeout: object
    memory_mb: object
    format: str
    options: Mapping[str, Option]

    def declared(self) -> Declared:
        """Work it out. Raises DefinitionError for what cannot be."""
        module, name = _home(self.poll)
        memory = self.memory_mb
        if isinstance(memory, bool) or not isinstance(memory, int) or memory < 64:
            raise DefinitionError(
                f"Expected memory_mb of 64 or more, found {memory!r}", hint="write memory_mb=1024"
            )
        try:
            start = msgspec.json.encode(self.start).decode()
        except TypeError as error:
            raise DefinitionError(
                f"Expected a first cursor that JSON can say, found {self.start!r}",
                hint='write start="", start=0 or start={"page": 1}',
            ) from error
        options = {
            "module": module,
            "name": name,
            "start": start,
            "every_seconds": _seconds("every", self.every),
            "stall_seconds": _seconds("stall", self.stall),
            "timeout_seconds": None if self.timeout is None else _seconds("timeout", self.timeout),
            "memory_bytes": memory << 20,
        }
        return Declared(
            sensor=Sensor("custom", options),
            format=self.format,
            options=dict(self.options),
            stream=True,
        )


def _home(poll: Any) -> tuple[str, str]:
    if not inspect.isasyncgenfunction(poll):
        raise DefinitionError(
            f"Expected an async generator function, found {poll!r}",
            hint="write `async def poll(cursor): ... yield rows, cursor`, and custom(poll)",
        )
    module, name = poll.__module__, poll.__qualname__
    if getattr(sys.modules.get(module), name, None) is not poll:
        raise DefinitionError(
            f"Expected a function at the top of a module, found {module}.{name}",
            hint="the sensor's process finds it by its name: define it beside the source",
        )
    return module, name


def _seconds(option: str, value: object) -> float:
    try:
        number = seconds(value)
    except ValueError as error:
        raise DefinitionError(f"{error} as {option}", hint=f'write {option}="1m"') from None
    if option != "every" and number <= 0:
        raise DefinitionError(f"Expected {option} of more than 0 seconds, found {value!r}")
    return number


def custom(
    poll: Poll,
    *,
    start: Any = None,
    every: float | str = "1m",
    stall: float | str = "1m",
    timeout: float | str | None = None,
    memory_mb: int = 1024,
    format: str = "json",  # noqa: A002 - the word users know
    options: Mapping[str, Option] | None = None,
) -> CustomSpec:
    """Take what an async generator of yours finds, with a cursor that is kept for you.

        async def new_orders(cursor):
            async for page in shop.orders(since=cursor):
                yield page.rows, page.last_id

        orders = source("orders", custom(new_orders, start=0), schema=Order)

    It is called with the last cursor that was recorded (`start` at first; whatever JSON can say)
    and yields `rows, cursor`: rows are dicts, bytes, text, or `Record`s with a key and headers;
    none at all only moves the cursor. `options={"columns": "key,headers"}` makes columns of those.
    It goes on from its `yield` when the rows and the cursor are durable, in one transaction: what
    it had not yielded before a crash it finds again, nothing else. When it ends it is called again
    after `every`. The source is a stream.

    It runs in a process of its own, with the project's code as it was loaded; new code starts it
    anew. If it raises, exits or uses more than `memory_mb`, if its event loop is blocked for
    `stall`, or a step takes longer than `timeout` (None: as long as it likes), that process alone
    is ended, and started again after a pause that grows. What it prints is in
    `.afresh/logs/sensor-NAME.log`, up to 10 MB.

    It stays an ordinary generator: a test iterates over it and looks at what it yields.

        async def test_new_orders(shop):
            assert [item async for item in new_orders(0)] == [([{"id": 1}], 1)]
    """
    return CustomSpec(poll, start, every, stall, timeout, memory_mb, format, options or {})
