"""What a function reads, as it is declared: which assets, which of their rows and columns."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from afresh.assets.declare import FunctionDeclaration, SourceDeclaration
from afresh.assets.manifest import Input, Schema
from afresh.assets.nearest import did_you_mean
from afresh.daemon.workers.signature import Frame, Problems


def read_inputs(
    declaration: FunctionDeclaration,
    frames: Sequence[Frame],
    by_object: Mapping[int, str],
    describe: Callable[[object], tuple[str, Schema | None]],
    found: Problems,
) -> tuple[tuple[Input, ...], tuple[str, ...]]:
    """Give the inputs, and the assets whose keys the function has.

    `by_object` names the asset that a decorated function makes, by its id; `describe` gives the key
    and the description of a schema. What is wrong is appended to `found`.
    """
    assets = {
        frame.name: _dependency(declaration, frame.name, by_object, found) for frame in frames
    }
    own = _named("partitions=", declaration.partitions, assets, found)
    new = _named("new=", declaration.new, assets, found)
    if new and own:
        found.append(
            (
                "Expected new= or partitions=, found both",
                "what reads new rows has no partitions: leave out partitions=",
            )
        )
    inputs = []
    for frame in frames:
        name = frame.name
        key, schema = describe(frame.schema)
        reads: Literal["own", "all", "new"] = "own" if name in own else "all"
        if name in new:
            reads = "new"
        columns = _columns(declaration, frame, schema, found)
        inputs.append(Input(name, assets[name], reads, frame.given, columns, key))
    return tuple(inputs), tuple(dict.fromkeys(assets[name] for name in own))


def _named(option: str, wanted: Any, assets: Mapping[str, str], found: Problems) -> tuple[str, ...]:
    """Give the parameters that an option names: by parameter, or by asset."""
    names = tuple(wanted) if isinstance(wanted, list | tuple) else (wanted,)
    parameters: list[str] = []
    for name in names:
        asset = name.name if isinstance(name, SourceDeclaration) else str(name)
        matching = [asset] if asset in assets else [p for p, a in assets.items() if a == asset]
        if not matching:
            found.append(
                (
                    f"Expected an input in {option}, found {asset!r}",
                    did_you_mean(asset, assets, f"its inputs: {', '.join(assets) or 'none'}"),
                )
            )
        parameters.extend(matching)
    return tuple(dict.fromkeys(parameters))


def _dependency(
    declaration: FunctionDeclaration,
    parameter: str,
    by_object: Mapping[int, str],
    found: Problems,
) -> str:
    """Give the asset that a parameter is: by its name, or as `deps` says."""
    chosen = declaration.deps.get(parameter, parameter)
    if isinstance(chosen, str):
        return chosen
    if isinstance(chosen, SourceDeclaration):
        return chosen.name
    name = by_object.get(id(chosen))
    if name is None:
        found.append(
            (
                f"Expected an asset in deps for {parameter!r}, found {chosen!r}",
                'give its name: deps={"parameter": "asset.name"}',
            )
        )
    return name or parameter


def _columns(
    declaration: FunctionDeclaration, frame: Frame, schema: Schema | None, found: Problems
) -> tuple[str, ...]:
    """Give the columns that are read: listed, or those of a schema that filters."""
    listed = declaration.columns.get(frame.name)
    if listed is not None:
        columns = (listed,) if isinstance(listed, str) else tuple(listed)
        if columns and all(isinstance(column, str) for column in columns):
            return tuple(dict.fromkeys(columns))
        found.append(
            (
                f"Expected names of columns for {frame.name!r}, found {listed!r}",
                'write columns={"flights": ["carrier", "dep_delay"]}',
            )
        )
    if schema is None or schema.strict != "filter":
        return ()
    if any(column.regex for column in schema.columns):
        return ()
    return tuple(column.name for column in schema.columns)
