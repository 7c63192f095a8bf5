"""Small manifests, written shortly."""

from typing import Literal

from afresh.assets.manifest import (
    Column,
    Function,
    Input,
    Manifest,
    Output,
    Schema,
    Sensor,
    Source,
    Where,
)


def a_source(name: str, *captures: str, tags: tuple[str, ...] = (), group: str = "") -> Source:
    """Declare a source whose pattern has these captures."""
    return Source(
        name, Sensor("file", {}), captures, tags=tags, group=group, where=Where("pipeline.py", 1)
    )


def a_function(name: str, *reads: str, tags: tuple[str, ...] = (), group: str = "") -> Function:
    """Declare what makes `name` (or `a|b`) from assets; those marked `=asset` are read as own."""
    inputs = tuple(
        Input(f"p{i}", read.removeprefix("="), "own" if read[0] == "=" else "all", "pandas")
        for i, read in enumerate(reads)
    )
    names = name.split("|")
    return Function(
        name=names[0],
        inputs=inputs,
        outputs=tuple(Output(n, "pandas", tags=tags, group=group) for n in names),
        code_key="",
        partitions=tuple(i.asset for i in inputs if i.reads == "own"),
        where=Where("pipeline.py", 2),
    )


def a_manifest(*parts: Source | Function) -> Manifest:
    """Put sources and functions together."""
    return Manifest(
        digest="",
        sources=tuple(p for p in parts if isinstance(p, Source)),
        functions=tuple(p for p in parts if isinstance(p, Function)),
    )


def a_schema(
    name: str, *columns: Column, strict: Literal["open", "strict", "filter"] = "open"
) -> Schema:
    """Describe a schema."""
    return Schema(name, columns, strict, data_key="", version="")
