"""Records as an arrival carries them: within it, or in a file that is synced before it is told.

What a broker loses after that is not lost to us (P1).
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import anyio.to_thread

from afresh.sensors.records import INLINE_BYTES, Record, encode_records
from afresh.sensors.staged import stage

SMALL_RECORDS = 200
"""Up to so many are encoded at once; more would hold up everything else, and go to a thread."""


class Carried(NamedTuple):
    """Records in an arrival: one of the two is empty."""

    payload: bytes
    staged: str


async def carry(
    taken: Mapping[int, Sequence[Any]], folder: str, new_name: Callable[[], str]
) -> Carried:
    """Encode messages as records, by partition and offset; stage them where they are many.

    Raises OSError where they cannot be staged.
    """
    if sum(map(len, taken.values())) <= SMALL_RECORDS:
        payload = _encode(taken)
        if len(payload) <= INLINE_BYTES:
            return Carried(payload, "")
        return await anyio.to_thread.run_sync(_stage, payload, folder, new_name())
    return await anyio.to_thread.run_sync(_encode_and_stage, taken, folder, new_name())


def _encode(taken: Mapping[int, Sequence[Any]]) -> bytes:
    return encode_records(
        Record(
            value=message.value,
            key=message.key,
            headers=message.headers,
            timestamp_ms=message.timestamp,
            channel=partition,
            offset=message.offset,
        )
        for partition in sorted(taken)
        for message in taken[partition]
    )


def _encode_and_stage(taken: Mapping[int, Sequence[Any]], folder: str, name: str) -> Carried:
    payload = _encode(taken)
    if len(payload) <= INLINE_BYTES:
        return Carried(payload, "")
    return _stage(payload, folder, name)


def _stage(payload: bytes, folder: str, name: str) -> Carried:
    path = Path(folder, f"{name}.records")
    stage(path, payload)
    return Carried(b"", str(path))
