"""A version that another daemon made, as its event says where it is: read and compared."""

from typing import Any, NamedTuple

import msgspec
import pyarrow as pa

from afresh.assets.errors import ArtifactError, UnreadableData, VanishedData
from afresh.sensors.base import ObjectIdentity
from afresh.storage.artifacts.files import exists
from afresh.storage.artifacts.store import read_table


class _Part(msgspec.Struct, frozen=True):
    uri: str
    hash: str
    skip: int
    rows: int


class _Place(msgspec.Struct, frozen=True):
    ref: str
    identity: ObjectIdentity
    parts: tuple[_Part, ...]


class Read(NamedTuple):
    """What was read, in the order of an `Original`."""

    table: pa.Table
    hash: str
    bytes: int
    identity: ObjectIdentity
    url: str
    version: str


def read_version(position: str) -> Read:
    """Read what an event of another daemon names, each artifact compared with its hash.

    Raises VanishedData when it was collected, UnreadableData when it is not what was told.
    """
    place = msgspec.json.decode(position, type=_Place)
    tables = [_read(part, place.ref) for part in place.parts]
    table = tables[0] if len(tables) == 1 else _joined(tables, place.ref)
    whole = "+".join(part.hash for part in place.parts)
    return Read(table, whole, place.identity.size, place.identity, place.ref, "")


def _read(part: _Part, ref: str) -> Any:
    try:
        if not exists(part.uri):
            raise VanishedData(
                f"Expected the artifact of {ref}, found none at {part.uri!r}",
                hint="the other daemon has collected it, or its folder cannot be reached from here",
            )
        table = read_table(part.uri, None, part.hash)
    except ArtifactError as error:
        raise UnreadableData(error.error, hint=error.hint, where=ref) from error
    return table.slice(part.skip, part.rows)


def _joined(tables: list[pa.Table], ref: str) -> pa.Table:
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowInvalid as error:
        raise UnreadableData(f"Expected parts of one table, found: {error}", where=ref) from error
