"""From what people write to what there is: assets, units, versions."""

from typing import NamedTuple

from afresh.assets.errors import UsageError
from afresh.assets.manifest import Function, Manifest, Source
from afresh.assets.nearest import did_you_mean
from afresh.assets.partition import Ref, format_ref, parse_ref
from afresh.daemon.api.view import View
from afresh.storage.ledger import queries

NEWEST = (1 << 62) - 1
"""Later than every epoch, above every version and every seq."""


class Unique(NamedTuple):
    """One version of one unit."""

    asset: str
    partition: str
    version: int

    @property
    def ref(self) -> str:
        """As it is written."""
        return format_ref(self.asset, self.partition, self.version)


def kinds(manifest: Manifest) -> dict[str, str]:
    """Map every name that is declared to "source" or "asset"."""
    found = {source.name: "source" for source in manifest.sources}
    for function in manifest.functions:
        found.update((output.asset, "asset") for output in function.outputs)
    return found


def declarations(manifest: Manifest) -> dict[str, Source | Function]:
    """Map every name that is declared to the source, or to the function that makes it."""
    found: dict[str, Source | Function] = {source.name: source for source in manifest.sources}
    for function in manifest.functions:
        found.update((output.asset, function) for output in function.outputs)
    return found


def parse_known(view: View, text: str) -> Ref:
    """Read a reference to an asset that is declared, or that the ledger remembers."""
    ref = parse_ref(text)
    if ref.asset in kinds(view.manifest):
        return ref
    kept = view.reader.rows("SELECT 1 FROM unit WHERE asset = :asset LIMIT 1", {"asset": ref.asset})
    if not kept:
        raise unknown(ref.asset, list(kinds(view.manifest)))
    return ref


def unknown(name: str, names: list[str]) -> UsageError:
    """Say that there is no such asset, and which one may be meant."""
    hint = did_you_mean(name, names, "afresh status lists the assets")
    return UsageError(f"Expected the name of an asset, found {name!r}", hint=hint)


def one_unit(view: View, ref: Ref) -> tuple[str, str]:
    """Give the one unit that a reference names. Raises UsageError where it names none, or many."""
    if ref.partition is not None:
        if _has_unit(view, ref.asset, ref.partition):
            return ref.asset, ref.partition
        raise UsageError(
            f"Expected a partition of {ref.asset}, found {ref.partition!r}",
            hint=f"afresh status {ref.asset} --partitions lists them",
        )
    if _has_unit(view, ref.asset, "") and not _has_keys(view, ref):
        return ref.asset, ""
    keys = view.reader.rows(
        "SELECT partition FROM unit WHERE asset = :asset AND partition <> '' ORDER BY partition"
        " LIMIT 2",
        {"asset": ref.asset},
    )
    # A unit that has not run yet is in the planner alone.
    found = [str(key) for (key,) in keys] or [
        key for asset, key in view.planner.units() if asset == ref.asset
    ]
    if len(found) == 1:
        return ref.asset, found[0]
    if found:
        raise UsageError(
            f"Expected one partition of {ref.asset}, found the whole asset",
            hint=f"name one, such as {format_ref(ref.asset, found[0])}",
        )
    raise UsageError(
        f"Expected a unit of {ref.asset}, found none yet",
        hint="nothing has arrived for it: afresh status says what it waits for",
    )


def head_versions(view: View, ref: Ref) -> list[Unique]:
    """Give the versions that a reference covers: the one that it names, or all units' heads."""
    return heads_of_all(view, ref) or [one_version(view, ref)]


def heads_of_all(view: View, ref: Ref) -> list[Unique]:
    """Give the heads of an asset that is named without a key, in key order; [] for other refs."""
    if ref.partition is not None or ref.version not in (None, "latest"):
        return []
    rows = view.reader.rows(queries.ASSET_AT, {"asset": ref.asset, "epoch": NEWEST})
    return [Unique(ref.asset, key, number) for key, _, number, _ in rows if number is not None]


def one_version(view: View, ref: Ref) -> Unique:
    """Give the version that a reference names; without one, the head."""
    asset, partition = one_unit(view, ref)
    key = {"asset": asset, "partition": partition}
    if isinstance(ref.version, int):
        found = view.reader.rows(
            "SELECT version FROM version WHERE asset = :asset AND partition = :partition"
            " AND version = :version",
            {**key, "version": ref.version},
        )
    elif ref.version in (None, "latest"):
        found = view.reader.rows(
            "SELECT version FROM unit WHERE asset = :asset AND partition = :partition"
            " AND version IS NOT NULL",
            key,
        )
    else:
        found = []
    if found:
        return Unique(asset, partition, int(found[0][0]))
    if ref.version is None:
        raise UsageError(
            f"Expected a version of {format_ref(asset, partition)}, found none yet",
            hint=f"afresh why {format_ref(asset, partition)} says why",
        )
    raise UsageError(
        f"Expected a version of {format_ref(asset, partition)}, found @{ref.version}",
        hint=f"afresh versions {format_ref(asset, partition)} lists them",
    )


def _has_keys(view: View, ref: Ref) -> bool:
    """Whether its units have keys now, and none of the versions from before them is asked for."""
    made = declarations(view.manifest).get(ref.asset)
    keys = made.captures if isinstance(made, Source) else made.partitions if made else ()
    return bool(keys) and ref.version in (None, "latest")


def _has_unit(view: View, asset: str, partition: str) -> bool:
    if view.reader.rows(
        "SELECT 1 FROM unit WHERE asset = :asset AND partition = :partition",
        {"asset": asset, "partition": partition},
    ):
        return True
    # A unit that has not run yet is in the planner alone.
    try:
        view.planner.look(asset, partition, view.now())
    except KeyError:
        return False
    return True
