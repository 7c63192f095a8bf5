"""What a function may ask for of the run that calls it: the partition's key, and its context."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from afresh.assets.partition import decode_key


class Partition(str):
    """The key of the partition that a run makes: a string. In a test: `Partition("2024")`.

    `names` are the captures of the pattern that gave the key, in its order.
    """

    __slots__ = ("names",)
    names: tuple[str, ...]

    def __new__(cls, key: str = "", names: Sequence[str] = ()) -> Self:
        """Take an encoded key."""
        self = super().__new__(cls, key)
        self.names = tuple(names)
        return self

    @property
    def parts(self) -> tuple[str, ...]:
        """The captured values, decoded."""
        return decode_key(str(self))

    @property
    def named(self) -> dict[str, str]:
        """The captured values by their names; {} where the names are not known."""
        return dict(zip(self.names, self.parts, strict=True)) if self.names else {}


@dataclass(slots=True)
class Context:
    """What a run knows of itself. A plain value: `Context()` will do in a unit test.

    `run` is its id, `partition` what it makes, `events` the numbers of the events that caused it in
    the journal; what is logged to `logger` is in the run's log. `depth` is how many runs in a row
    led to it, itself included: who sends something on that may come back, sends this along as the
    header `afresh-depth` (HTTP, Kafka), or as `afreshdepth` of a CloudEvent; then a loop is found.
    """

    run: str = ""
    partition: Partition = field(default_factory=Partition)
    events: tuple[int, ...] = ()
    attempt: int = 1
    logger: logging.Logger = field(default_factory=lambda: logging.getLogger("afresh.run"))
    metadata: dict[str, str] = field(default_factory=dict)
    depth: int = 1

    def add_metadata(self, **values: str | float | bool | None) -> None:
        """Keep values with the version that this run makes; all but strings are kept as JSON."""
        for name, value in values.items():
            self.metadata[name] = value if isinstance(value, str) else json.dumps(value)
