"""`afresh check`: load the definitions in a worker and say what is declared, or what is wrong."""

from typing import Any

from afresh.assets.errors import DefinitionError
from afresh.assets.manifest import Function, Manifest, Problem
from afresh.assets.policy import describe
from afresh.daemon.cli.call import Call, command
from afresh.daemon.cli.output import print_table


@command("check")
def check(call: Call) -> None:
    """Load and verify the definitions: imports, cycles, contracts. Runs nothing."""
    # Lazy: this is the daemon's half.
    import anyio  # noqa: PLC0415

    from afresh.daemon import app  # noqa: PLC0415

    manifest = anyio.run(app.load, call.settings)
    if manifest.problems:
        raise refusal(manifest.problems)
    call.show(declared(manifest), _people)


def refusal(problems: tuple[Problem, ...]) -> DefinitionError:
    """Make one error of all that is wrong, each with its place and the way out."""
    # Lazy: this is the daemon's half.
    from afresh.daemon.definitions.loading import say  # noqa: PLC0415

    first = problems[0]
    where = str(first.where) if first.where else ""
    if len(problems) == 1:
        return DefinitionError(first.error, hint=first.hint, where=where)
    lines = [f"{len(problems)} problems", *map(say, problems)]
    return DefinitionError(
        "\n".join(lines), hint="correct them, and check again: nothing was run", where=where
    )


def declared(manifest: Manifest) -> list[dict[str, Any]]:
    """Make the rows of `check`."""
    rows: list[dict[str, Any]] = [
        {
            "asset": source.name,
            "kind": "source",
            "deps": [],
            "schema": source.schema,
            "partitions": list(source.captures),
            "refresh": source.sensor.kind,
            "code_version": source.code_key,
        }
        for source in manifest.sources
    ]
    captures = {source.name: list(source.captures) for source in manifest.sources}
    made = {output.asset: f for f in manifest.functions for output in f.outputs}
    for function in manifest.functions:
        rows += [
            {
                "asset": output.asset,
                "kind": "asset",
                "deps": list(dict.fromkeys(given.asset for given in function.inputs)),
                "schema": output.schema,
                "partitions": _partitions(function, captures, made),
                "refresh": describe(function.refresh),
                "code_version": function.code_key,
            }
            for output in function.outputs
        ]
    return rows


def _partitions(
    function: Function, captures: dict[str, list[str]], made: dict[str, Function]
) -> list[str]:
    """Name the dimensions of a function's keys: those of the source that they come from."""
    seen: set[str] = set()
    names = list(function.partitions)
    while names and (name := names[0]) not in seen:
        seen.add(name)
        if name in captures:
            return captures[name]
        names = list(made[name].partitions) if name in made else []
    return []


def _people(rows: list[dict[str, Any]]) -> None:
    print_table(
        ("asset", "kind", "deps", "schema", "partitions", "refresh"),
        [
            (
                row["asset"],
                row["kind"],
                ", ".join(row["deps"]),
                row["schema"],
                ", ".join(row["partitions"]),
                row["refresh"],
            )
            for row in rows
        ],
        flexible=("deps", "schema", "asset"),
        optional=("refresh", "partitions", "schema", "kind"),
    )
