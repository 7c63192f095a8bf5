"""The options of a Kafka source as its sensor needs them."""

from typing import Any

import msgspec


class Settings(msgspec.Struct, frozen=True):
    """What `kafka(...)` declared."""

    topic: str
    servers: tuple[str, ...]
    start: str | dict[str, int]
    batch_rows: int
    batch_bytes: int
    batch_seconds: float
    security: dict[str, Any]


SMALLEST_FETCH_BYTES = 64 << 10
"""Records are asked for in pieces down to this size, where larger ones do not come through."""


class Pace(msgspec.Struct, frozen=True):
    """How often the sensor looks, and how long it waits, in seconds."""

    look: float = 5.0
    """Between two looks at the topic: new partitions, its deletion, the ends of its logs."""
    stalled: float = 15.0
    """Records that are there and do not come for so long: the client is made anew."""
    first_pause: float = 0.5
    longest_pause: float = 5.0
    confirm: float = 1.0
    """Between two looks that must agree before a log counts as one that lost its end."""
