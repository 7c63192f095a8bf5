"""Lineage: what a version was made from, and what was made of it, by walking what runs read.

The ledger keeps one row for each input of a run: of an own partition the version, of a whole asset
the epoch. The latter is expanded here, by what was valid as of that epoch. The walk itself goes by
epoch too: what an input was made from is what had shown its content as of the epoch it was read at.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from afresh.assets.manifest import Function, Manifest
from afresh.daemon.api.names import (
    NEWEST,
    Unique,
    declarations,
    head_versions,
    kinds,
    parse_known,
)
from afresh.daemon.api.view import View
from afresh.storage.ledger import queries

_BREATH = 200
_MAKER = (
    "SELECT run FROM version WHERE asset = :asset AND partition = :partition AND version = :version"
)


class Edge(NamedTuple):
    """`run` read `source` and made `target`."""

    source: Unique
    target: Unique
    run: str


class Graph:
    """Versions and the runs between them, in the order in which they were found."""

    def __init__(self, roots: Iterable[Unique]) -> None:
        self.nodes: dict[Unique, None] = dict.fromkeys(roots)
        self.edges: dict[Edge, None] = {}


class _Step(NamedTuple):
    """A version to go on from: as of `epoch` (None: as it is now), `depth` steps from the root."""

    at: Unique
    epoch: int | None
    depth: int


async def walk(
    view: View, roots: Iterable[Unique], *, down: bool = False, depth: int | None = None
) -> Graph:
    """Walk up (or down) from versions, `depth` runs far (None: to the end)."""
    graph = Graph(roots)
    steps, seen = [_Step(root, None, 0) for root in graph.nodes], set[tuple[Unique, str]]()
    done = 0
    sources = {name for name, kind in kinds(view.manifest).items() if kind == "source"}
    while steps:
        step = steps.pop()
        if depth is not None and step.depth >= depth:
            continue
        done += 1
        if done % _BREATH == 0:
            await view.breathe()
        if down:
            steps.extend(_down(view, graph, step, seen))
        elif step.at.asset not in sources:
            steps.extend(_up(view, graph, step, seen))
    return graph


def _up(view: View, graph: Graph, step: _Step, seen: set[tuple[Unique, str]]) -> list[_Step]:
    run = showing_run(view, step.at, step.epoch)
    if run is None or (step.at, run) in seen:
        return []
    seen.add((step.at, run))
    found = []
    for source, epoch in inputs_of(view, run):
        graph.nodes.setdefault(source)
        graph.edges.setdefault(Edge(source, step.at, run))
        found.append(_Step(source, epoch, step.depth + 1))
    return found


def _down(view: View, graph: Graph, step: _Step, seen: set[tuple[Unique, str]]) -> list[_Step]:
    found = []
    for run in readers_of(view, step.at):
        if (step.at, run) in seen:
            continue
        seen.add((step.at, run))
        for asset, partition, version in view.reader.rows(queries.VERSIONS_OF_RUN, {"run": run}):
            target = Unique(asset, partition, version)
            graph.nodes.setdefault(target)
            graph.edges.setdefault(Edge(step.at, target, run))
            found.append(_Step(target, None, step.depth + 1))
    return found


def showing_run(view: View, at: Unique, epoch: int | None) -> str | None:
    """Give the run that had last shown this content as of the epoch, maybe not its first."""
    rows = view.reader.rows(
        "SELECT run FROM validity WHERE asset = :asset AND partition = :partition"
        " AND version = :version AND run IS NOT NULL AND epoch <= :epoch"
        " ORDER BY epoch DESC LIMIT 1",
        {**at._asdict(), "epoch": NEWEST if epoch is None else epoch},
    )
    rows = rows or view.reader.rows(_MAKER, at._asdict())
    return str(rows[0][0]) if rows else None


def inputs_of(view: View, run: str) -> Iterable[tuple[Unique, int]]:
    """Give each version that a run read, and the epoch as of which it read it."""
    rows = view.reader.rows(queries.LINEAGE_OF_RUN, {"run": run})
    for _, asset, _, epoch, partition, version in rows:
        if version is not None:
            yield Unique(asset, partition, version), epoch
            continue
        for key, _, number, _ in view.reader.rows(
            queries.ASSET_AT, {"asset": asset, "epoch": epoch}
        ):
            if number is not None:
                yield Unique(asset, key, number), epoch


def readers_of(view: View, at: Unique) -> list[str]:
    """Give the runs that read a version: by name, or with its whole asset while it was valid."""
    rows = view.reader.rows(queries.RUNS_THAT_READ, at._asdict())
    return list(dict.fromkeys(str(row[0]) for row in rows))


async def lineage(view: View, params: Mapping[str, Any]) -> dict[str, Any]:
    """Answer `afresh lineage REF`: nodes and edges; `collapse` keeps one node an asset.

    Of an asset without a key: from the heads of all its units, which come first among the nodes.
    """
    roots = head_versions(view, parse_known(view, params["ref"]))
    graph = await walk(view, roots, down=bool(params.get("down")), depth=params.get("depth"))
    kind = kinds(view.manifest)
    columns = _columns(view.manifest) if params.get("columns") else None
    if params.get("collapse"):
        return _collapsed(graph, kind, columns)
    edges = [
        {"from": edge.source.ref, "to": edge.target.ref, "via": edge.run}
        | _read(columns, edge.source.asset, edge.target.asset)
        for edge in graph.edges
    ]
    nodes = [
        {**node._asdict(), "ref": node.ref, "kind": kind.get(node.asset, "asset")}
        for node in graph.nodes
    ]
    order = ("ref", "asset", "partition", "version", "kind")
    made = {} if params.get("down") else _made_by(view, roots, kind)
    return {
        "nodes": [{key: node[key] for key in order} | made.get(node["ref"], {}) for node in nodes],
        "edges": edges,
    }


def _made_by(
    view: View, roots: Iterable[Unique], kind: Mapping[str, str]
) -> dict[str, dict[str, str]]:
    """Of what was asked for, the run that made it, where a later one found its content again."""
    found = {}
    for root in roots:
        if kind.get(root.asset) == "source":
            continue
        for (run,) in view.reader.rows(_MAKER, root._asdict()):
            if run != showing_run(view, root, None):
                found[root.ref] = {"made_by": run}
    return found


def _collapsed(
    graph: Graph, kind: Mapping[str, str], columns: Mapping[tuple[str, str], list[str]] | None
) -> dict[str, Any]:
    units: dict[str, int] = {}
    for node in graph.nodes:
        units[node.asset] = units.get(node.asset, 0) + 1
    last: dict[tuple[str, str], str] = {}
    for edge in graph.edges:
        pair = edge.source.asset, edge.target.asset
        last[pair] = max(edge.run, last.get(pair, ""))
    return {
        "nodes": [
            {
                "ref": asset,
                "asset": asset,
                "partition": "",
                "version": None,
                "kind": kind.get(asset, "asset"),
                "versions": count,
            }
            for asset, count in units.items()
        ],
        "edges": [
            {"from": source, "to": target, "via": run} | _read(columns, source, target)
            for (source, target), run in last.items()
        ],
    }


def _read(
    columns: Mapping[tuple[str, str], list[str]] | None, source: str, target: str
) -> dict[str, Any]:
    return {} if columns is None else {"columns": columns.get((source, target), [])}


def _columns(manifest: Manifest) -> dict[tuple[str, str], list[str]]:
    """Say which columns of each input an asset reads, as declared now; all of them is []."""
    return {
        (given.asset, name): list(given.columns)
        for name, made in declarations(manifest).items()
        if isinstance(made, Function)
        for given in made.inputs
    }
