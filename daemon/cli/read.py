"""`afresh read`: the data of a version."""

import json
import os
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click
import msgspec

from afresh.assets.errors import ArtifactError, UsageError
from afresh.assets.manifest import Schema, Source
from afresh.daemon.cli.call import COUNT, Call, command
from afresh.daemon.cli.output import note, print_table, terminal_width, while_read
from afresh.storage.references import parse_reference

if TYPE_CHECKING:
    from collections.abc import Iterator

_FORMS = ("table", "csv", "json", "parquet")
_SHOWN = 50
"""Rows that a terminal is shown without --limit."""


@command("read")
@click.argument("ref")
@click.option("--as", "form", type=click.Choice(_FORMS), help="Else by the name of the -o FILE.")
@click.option("-o", "--output", type=click.Path(dir_okay=False), metavar="FILE")
@click.option("--limit", type=COUNT, metavar="N", help="At most so many rows.")
def read(call: Call, ref: str, form: str | None, output: str | None, limit: int | None) -> None:
    """Print the data of REF, or save it with -o FILE. Its hash is verified.

    Of an asset named without a key: all its units, in key order.
    """
    if form is None:
        # What -o FILE says counts before --json: a file is what its name promises.
        form = "json" if call.as_json and output is None else _by_name(output)
    versions = call.ledger("readable", {"ref": ref})
    if form == "parquet" and output is None and terminal_width(sys.stdout) is not None:
        raise UsageError(
            "Expected a file for Parquet, found a terminal", hint="afresh read REF -o FILE.parquet"
        )
    table = _table(versions, limit, call.settings.artifacts)
    shortened = 0
    if limit is None and form == "table" and terminal_width(sys.stdout) and output is None:
        limit, shortened = _SHOWN, max(0, table.num_rows - _SHOWN)
    table = table if limit is None else table.slice(0, limit)
    if output is None:
        with while_read():
            _write(table, form, sys.stdout.buffer)
    else:
        with _replacing(output) as file:
            _write(table, form, file)
    if shortened:
        note(f"... {shortened} more rows: --limit {table.num_rows + shortened}")


def _by_name(output: str | None) -> str:
    if output is None:
        return "table"
    form = Path(output).suffix.removeprefix(".")
    if form not in _FORMS[1:]:
        raise UsageError(
            f"Expected a file named .csv, .json or .parquet, found {output!r}",
            hint="or say which with --as csv,json,parquet",
        )
    return form


def _table(versions: list[dict[str, Any]], limit: int | None, artifacts: str) -> Any:
    """Read units one after the other until there are enough rows."""
    # Lazy: a data library.
    from afresh.daemon.api.rows import join  # noqa: PLC0415

    tables: list[Any] = []
    for version in versions:
        tables.append(_read(version, artifacts))
        if limit is not None and sum(table.num_rows for table in tables) >= limit:
            break
    return join(tables)


def _read(version: dict[str, Any], artifacts: str) -> Any:
    # Lazy: a data library.
    from afresh.storage.artifacts.moved import located  # noqa: PLC0415
    from afresh.storage.artifacts.store import read_table  # noqa: PLC0415

    if version["state"] == "collected":
        raise ArtifactError(
            f"Expected the data of {version['ref']}, found that it was collected",
            hint=f"afresh materialize --force {version['asset']} rebuilds it"
            if version.get("start_row") is None
            else f"its first rows were kept for a time: afresh read {version['asset']}",
        )
    if "original" in version:
        return _original(version)
    if "parts" not in version:
        return read_table(located(version["uri"], artifacts), verify_hash=version["hash"])
    # Lazy: a data library.
    from afresh.daemon.api.rows import join  # noqa: PLC0415

    return join(
        [
            read_table(located(part["uri"], artifacts), verify_hash=part["hash"]).slice(
                part["skip"], part["take"]
            )
            for part in version["parts"]
        ]
    )


def _original(version: dict[str, Any]) -> Any:
    """Read what a source refers to, by its declaration: what its schema adds is not applied."""
    # Lazy: data libraries.
    from afresh.daemon.reference_bytes import find_source  # noqa: PLC0415
    from afresh.daemon.workers.originals import read_reference  # noqa: PLC0415

    declared, reference = version["original"], parse_reference(version["uri"])
    assert reference is not None
    sources = (msgspec.convert(declared["source"], Source),) if declared is not None else ()
    source = find_source(sources, version["asset"], reference)
    schema = declared["schema"]
    return read_reference(
        reference,
        version["hash"],
        source,
        msgspec.convert(schema, Schema) if schema is not None else None,
        None,
        partition=version["partition"],
    )


def _write(table: Any, form: str, file: BinaryIO) -> None:
    # Lazy: a data library.
    from afresh.daemon.api import rows  # noqa: PLC0415

    sys.stdout.flush()
    if form == "csv":
        rows.write_csv(table, file)
    elif form == "parquet":
        rows.write_parquet(table, file)
    elif form == "json":
        before = "["
        for row in rows.plain_rows(table):
            file.write(f"{before}\n  {json.dumps(row, allow_nan=False)}".encode("ascii"))
            before = ","
        file.write(b"\n]\n" if table.num_rows else b"[]\n")
    else:
        cells = [list(row.values()) for row in rows.plain_rows(table)]
        names = list(table.column_names)
        out = print_table(names, cells, flexible=names, optional=names[:0:-1], upper=False)
        if out:
            note(f"{out} more columns: --as csv has all of them")
    file.flush()


@contextmanager
def _replacing(path: str) -> "Iterator[BinaryIO]":
    """Write beside a file, then take its place: it is never half written.

    A link stays, what it leads to is replaced. What is no file, such as a pipe, is written to.
    """
    place = Path(path)
    try:
        if place.exists() and not place.is_file():
            with place.open("wb") as file:
                yield file
            return
        place = place.resolve()
        beside = place.with_name(f"{place.name}.{os.getpid()}.part")
        try:
            with beside.open("xb") as file:
                yield file
            beside.replace(place)
        finally:
            with suppress(OSError):
                beside.unlink()
    except OSError as error:
        raise UsageError(
            f"Expected to write {path!r}, found {error.strerror}", hint="name another file"
        ) from error
