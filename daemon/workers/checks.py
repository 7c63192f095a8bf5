"""What can only be seen of all declarations together: names, cycles, partitions, contracts."""

from collections.abc import Iterator, Mapping

import msgspec

from afresh.assets.contract import mismatches
from afresh.assets.graph import Graph
from afresh.assets.manifest import Column, Function, Input, Manifest, Problem, Schema, Where
from afresh.assets.nearest import did_you_mean

_MOST_HINTS = 50
"""Nearest names are searched for the first unknown ones only: each search reads all names."""


def duplicates(places: Mapping[str, list[Where]]) -> Iterator[Problem]:
    """Find assets that are declared more than once; each place but the first is a problem."""
    for name, where in places.items():
        for place in where[1:]:
            yield Problem(
                error=f"Expected one declaration of asset {name!r}, found another at {where[0]}",
                hint="give one of the two another name",
                where=place,
                asset=name,
            )


def unknown(manifest: Manifest, names: frozenset[str]) -> Iterator[tuple[Function, Problem]]:
    """Find inputs that nothing declares."""
    count = 0
    for function in manifest.functions:
        for read in function.inputs:
            if read.asset in names:
                continue
            count += 1
            otherwise = f"declare asset {read.asset!r}, or give deps={{{read.parameter!r}: ...}}"
            near = did_you_mean(read.asset, names) if count <= _MOST_HINTS else ""
            yield (
                function,
                Problem(
                    error=f"Expected an asset {read.asset!r} for {function.name!r} to read, "
                    "found none",
                    hint=near or otherwise,
                    where=function.where,
                    asset=function.name,
                ),
            )


def cycles(graph: Graph) -> Iterator[Problem]:
    """Find assets that need themselves."""
    for cycle, others in graph.cycles():
        function = graph.function_of[cycle[0]]
        also = f"; {', '.join(others)} are in cycles with them" if others else ""
        yield Problem(
            error=f"Expected no cycle, found {' -> '.join((*cycle, cycle[0]))}{also}",
            hint="an asset cannot be made from itself: break it at one of these",
            where=function.where,
            asset=cycle[0],
        )


def partitions(graph: Graph) -> Iterator[Problem]:
    """Find assets that take their keys from inputs of other dimensions, or of none."""
    dimensions: dict[str, tuple[str, ...] | None] = {}
    for asset in graph.order():
        function = graph.function_of.get(asset)
        if function is None:
            dimensions[asset] = graph.source_of[asset].captures
            continue
        found = {i.asset: dimensions.get(i.asset) for i in function.inputs if i.reads == "own"}
        known = {name: dims for name, dims in found.items() if dims is not None}
        dimensions[asset] = next(iter(known.values()), None if found else ())
        if asset == function.name:
            yield from _dimensions(function, known)


def streams(manifest: Manifest, graph: Graph) -> Iterator[Problem]:
    """Find inputs that are to be read by their new rows and are no streams."""
    for function in manifest.functions:
        for read in function.inputs:
            if read.reads != "new" or read.asset not in graph or _is_stream(graph, read.asset):
                continue
            yield Problem(
                error=f"Expected a stream for new={read.parameter!r} of {function.name!r}, "
                f"found {read.asset!r}, whose versions replace each other",
                hint="leave it out of new=: it is then read whole; streams are sources such as "
                "kafka(...), and assets that have new= themselves",
                where=function.where,
                asset=function.name,
            )


def paths(manifest: Manifest) -> Iterator[Problem]:
    """Find webhooks that share a path: who calls it could mean either."""
    first: dict[str, str] = {}
    for source in manifest.sources:
        path = source.sensor.options.get("path")
        if not isinstance(path, str):
            continue
        if path in first:
            yield Problem(
                error=f"Expected a path of its own for {source.name!r}, found {path!r}, "
                f"which is that of {first[path]!r}",
                hint="give one of the two another path",
                where=source.where,
                asset=source.name,
            )
        first.setdefault(path, source.name)


def _is_stream(graph: Graph, asset: str) -> bool:
    source = graph.source_of.get(asset)
    if source is not None:
        return source.stream
    return any(read.reads == "new" for read in graph.function_of[asset].inputs)


def contracts(manifest: Manifest, graph: Graph) -> Iterator[Problem]:
    """Find inputs whose producer does not promise what the consumer's schema or columns need."""
    satisfied: set[tuple[str, str, str, tuple[str, ...]]] = set()
    for function in manifest.functions:
        for read in function.inputs:
            producer = _promised(manifest, graph, read.asset)
            if producer is None:
                continue
            yield from _columns(function, read, producer, graph)
            made = _schema_of(graph, read.asset)
            key = (read.asset, made, read.schema, read.columns)
            same = made == read.schema and not read.columns
            if not read.schema or same or key in satisfied:
                continue
            found = list(_contract(function, read, _given(producer, read), manifest, graph))
            if not found:
                satisfied.add(key)
            yield from found


def _dimensions(function: Function, known: Mapping[str, tuple[str, ...]]) -> Iterator[Problem]:
    first: tuple[str, tuple[str, ...]] | None = None
    for name, dims in known.items():
        if not dims:
            yield Problem(
                error=f"Expected partitions of {name!r} for {function.name!r}, found none",
                hint=f"leave {name!r} out of partitions=: it is then read whole",
                where=function.where,
                asset=function.name,
            )
        elif first is None:
            first = (name, dims)
        elif dims != first[1]:
            yield Problem(
                error=(
                    f"Expected inputs of one kind of partition for {function.name!r}, found "
                    f"{first[0]} by {_by(first[1])} and {name} by {_by(dims)}"
                ),
                hint="name in partitions= only inputs whose patterns capture the same names in "
                "the same order; the others are read whole",
                where=function.where,
                asset=function.name,
            )


def _by(dims: tuple[str, ...]) -> str:
    return "(" + ", ".join(dims) + ")"


def _schema_of(graph: Graph, asset: str) -> str:
    source = graph.source_of.get(asset)
    if source is not None:
        return source.schema
    return graph.output_of[asset].schema if asset in graph.output_of else ""


def _promised(manifest: Manifest, graph: Graph, asset: str) -> Schema | None:
    """Give the schema that an asset promises; key columns are added to a source's."""
    schema = manifest.schemas.get(_schema_of(graph, asset))
    source = graph.source_of.get(asset)
    if schema is None or source is None or not source.key_columns:
        return schema
    have = {column.name for column in schema.columns}
    # Without a type: they are text, and what the schema says of them is checked with the data.
    added = tuple(Column(name, "") for name in source.captures if name not in have)
    return msgspec.structs.replace(schema, columns=schema.columns + added)


def _given(producer: Schema, read: Input) -> Schema:
    """Give what the function sees of what is promised: the columns that it reads."""
    if not read.columns:
        return producer
    seen = tuple(column for column in producer.columns if column.name in read.columns)
    return msgspec.structs.replace(producer, columns=seen)


def _declared_at(graph: Graph, asset: str) -> Where | None:
    source = graph.source_of.get(asset)
    return source.where if source is not None else graph.function_of[asset].where


def _contract(
    function: Function, read: Input, producer: Schema, manifest: Manifest, graph: Graph
) -> Iterator[Problem]:
    consumer = manifest.schemas[read.schema]
    made = producer.where or _declared_at(graph, read.asset)
    wanted = consumer.where or function.where
    for found in mismatches(producer, consumer):
        yield Problem(
            error=(
                f"Expected {read.asset!r} to satisfy {function.name!r}: {found.error} "
                f"({producer.name} at {made}, {consumer.name} at {wanted})"
            ),
            hint=found.hint,
            where=function.where,
            asset=function.name,
        )


def _columns(function: Function, read: Input, producer: Schema, graph: Graph) -> Iterator[Problem]:
    """Find listed columns that a closed producer does not have; an open one may have any."""
    if producer.strict == "open":
        return
    names = [column.name for column in producer.columns]
    for column in read.columns:
        if column not in names:
            made = producer.where or _declared_at(graph, read.asset)
            yield Problem(
                error=(
                    f"Expected a column of {read.asset!r} for {function.name!r}, found {column!r} "
                    f"({producer.name} at {made})"
                ),
                hint=did_you_mean(column, names, f"it has: {', '.join(names[:20])}"),
                where=function.where,
                asset=function.name,
            )
