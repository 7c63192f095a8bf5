"""What the ledger has of the units of some plans, as the planner takes it."""

from collections.abc import Sequence
from functools import cached_property
from sys import intern

import msgspec

from afresh.assets.planner.content import Columns, Content, Mark, Span
from afresh.assets.planner.slim import Slim
from afresh.assets.planner.topology import Plan
from afresh.storage.ledger.state import Read
from afresh.storage.ledger.units import FailureRow, UnitRow, Units

Unit = tuple[str, str]
"""Asset and key."""

_columns = msgspec.json.Decoder(dict[str, str])


class Kept:
    """Rows by unit, each kind read when it is first asked for."""

    def __init__(self, read: Read, plans: Sequence[Plan]) -> None:
        self.plans = plans
        self._units = Units(read, [asset for plan in plans for asset in plan.assets])

    @cached_property
    def heads(self) -> dict[Unit, UnitRow]:
        """Each unit's row, in order of asset and key."""
        return {(row.asset, row.partition): row for row in self._units.heads()}

    @cached_property
    def failures(self) -> dict[Unit, FailureRow]:
        """The failed run key of each unit that has one."""
        return {(row.asset, row.partition): row for row in self._units.failures()}

    @cached_property
    def contents(self) -> dict[Unit, dict[int, Content]]:
        """The versions that are kept, by number."""
        contents: dict[Unit, dict[int, Content]] = {}
        for row in self._units.contents():
            asset, key, version, fingerprint, columns, uri, hash_, rows, code, event, run, at = row[
                :12
            ]
            hashes = Columns.of(_columns.decode(columns))
            # The same few keys come a thousand times.
            span = Span(*row[12:]) if row[13] is not None else None
            content = Content(
                version, fingerprint, hashes, uri, hash_, rows, intern(code), event, run, at, span
            )
            contents.setdefault((asset, key), {})[version] = content
        return contents

    @cached_property
    def known(self) -> dict[Unit, dict[str, Content]]:
        """What each run key made, where that is kept."""
        known: dict[Unit, dict[str, Content]] = {}
        for row in self._units.run_keys():
            unit = row.asset, row.partition
            content = self.contents.get(unit, {}).get(row.version)
            if content is not None:
                known.setdefault(unit, {})[row.run_key] = content
        return known

    @cached_property
    def inputs(self) -> dict[Unit, Slim[tuple[tuple[str, int], ...]]]:
        """Which units each head read, by parameter."""
        inputs: dict[Unit, Slim[tuple[tuple[str, int], ...]]] = {}
        shared: dict[tuple[str, int], tuple[tuple[str, int], ...]] = {}
        for asset, key, parameter, partition, version in self._units.inputs():
            part = partition, version
            given = shared.setdefault(part, (part,))
            inputs.setdefault((asset, key), Slim())[intern(parameter)] = given
        return inputs

    @cached_property
    def marks(self) -> dict[Unit, dict[str, Mark]]:
        """How far each reader of new rows came, by parameter."""
        marks: dict[Unit, dict[str, Mark]] = {}
        for asset, key, parameter, stream, end, origin in self._units.marks():
            marks.setdefault((asset, key), {})[parameter] = Mark(stream, end, origin)
        return marks
