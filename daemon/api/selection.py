"""Which units a selection covers: now, in the ledger, or from now on."""

from collections.abc import Iterable

from afresh.assets.errors import UsageError
from afresh.assets.graph import Graph
from afresh.assets.selection import select
from afresh.daemon.api.view import Key, View

WHOLE = "*"
"""In the place of a key: all units that the asset has or gets. No key is `*`, unencoded."""


async def chosen(view: View, text: str | None) -> list[Key]:
    """List the units that a selection covers, in the order of the graph; all without one."""
    units = list(view.planner.units())
    if not text:
        return units
    covered = _select(view, text, units)
    return [unit for unit in units if unit in covered]


async def recorded(view: View, text: str) -> set[Key]:
    """List the units of the ledger that a selection covers, archived assets' too."""
    rows = view.reader.rows(
        "SELECT asset, partition FROM unit UNION SELECT asset, partition FROM run"
    )
    return _select(view, text, [(str(asset), str(key)) for asset, key in rows])


async def wanted(view: View, text: str, partitions: str | None) -> list[Key]:
    """List what a request is about: units, and (asset, WHOLE) for assets named as a whole."""
    units = list(view.planner.units())
    if partitions is not None:
        low, high = _range(partitions)
        covered = _select(view, text, units)
        return [unit for unit in units if unit in covered and low <= unit[1] <= high]
    if "[" not in text and "state:" not in text:
        units = [(asset, WHOLE) for asset in view.planner.assets()]
    covered = _select(view, text, units)
    return [unit for unit in units if unit in covered]


def _select(view: View, text: str, units: Iterable[Key]) -> set[Key]:
    def state_of(asset: str, partition: str) -> str:
        try:
            return view.planner.look(asset, partition, view.now()).state
        except KeyError:  # archived
            return ""

    return select(text, Graph(view.manifest), units, state_of)


def _range(text: str) -> tuple[str, str]:
    low, dots, high = text.partition("..")
    if not dots or not low or not high or low > high:
        raise UsageError(
            f"Expected two keys like 2024-01-01..2024-01-31, found {text!r}",
            hint="both ends are included, and the first is not above the last",
        )
    return low, high
