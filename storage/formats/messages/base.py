"""What a message format is: the values of many messages to one table, the bad ones named.

A whole batch is decoded at once; only where that fails is the single message looked for. What is
not a message's fault (a registry that cannot be reached, a schema that breaks the contract) is
raised: then nothing of the batch is published and it is tried again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import pyarrow as pa

from afresh.assets.manifest import Schema
from afresh.storage.formats.base import Options


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the source's schema asks for.

    `types` maps its columns to canonical type names (see `assets.arrow_types`); without a schema it
    is empty. `others` says what is done with fields that are not in it: keep them as they are,
    ignore them, or refuse messages that have any.
    """

    types: Mapping[str, str] = field(default_factory=dict)
    others: Literal["keep", "ignore", "refuse"] = "keep"
    schema: Schema | None = None
    """It as a whole: formats with schemas of their own compare the two."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What became of a batch's messages.

    `sources` gives for each row of the table the index of its message; None where row i is message
    i of those that are not bad. `bad` maps the index of a message that has no rows to the reason.
    """

    table: pa.Table
    sources: Sequence[int] | None = None
    bad: Mapping[int, str] = field(default_factory=dict)


class MessageFormat(Protocol):
    """A way to write records as the values of messages."""

    @property
    def name(self) -> str:
        """Give the name that `format=` uses."""
        ...

    @property
    def options(self) -> frozenset[str]:
        """Name the options of the source that `decode` knows."""
        ...

    def check(self, options: Options) -> None:
        """Raise UsageError for options that cannot be: asked when the definitions are loaded."""
        ...

    def decode(self, values: Sequence[bytes], wanted: Wanted, options: Options) -> Decoded:
        """Decode all values; none is None.

        A column of `wanted` that no message has is null in every row. Raises UnreadableData where
        no single message is to blame.
        """
        ...
