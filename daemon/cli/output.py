"""What commands print: JSON for programs, lines for people; nothing that breaks a terminal."""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TextIO

_UNKNOWN_WIDTH = 80
"""Columns of a terminal that does not know how wide it is."""

_COLOURS = {
    "running": "36",
    "stale": "33",
    "failed": "31",
    "rejected": "31",
    "blocked": "35",
    "paused": "34",
    "missing": "2",
    "fresh": "32",
    "succeeded": "32",
    "ingested": "32",
    "ok": "32",
    "warning": "33",
}


def clean(text: object) -> str:
    """Write text so that it is one line and moves no cursor: what is not printable is escaped.

    Control characters, line breaks, bidi marks, zero-width characters and lone surrogates.
    """
    plain = str(text)
    if plain.isprintable():
        return plain
    return "".join(c if c.isprintable() else _escape(c) for c in plain)


def _escape(c: str) -> str:
    point = ord(c)
    if c in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[c]
    if point < 0x100:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def print_json(answer: Any) -> None:
    """Print one array, an item a line, or one object. In ASCII: names are never raw."""
    if isinstance(answer, list):
        items = ",\n  ".join(json.dumps(item, allow_nan=False) for item in answer)
        sys.stdout.write(f"[\n  {items}\n]\n" if answer else "[]\n")
    else:
        sys.stdout.write(json.dumps(answer, indent=2, allow_nan=False) + "\n")


def print_json_line(answer: Any) -> None:
    """Print one line of JSON Lines, at once."""
    sys.stdout.write(json.dumps(answer, allow_nan=False) + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """Print a line for people."""
    sys.stdout.write(clean(text) + "\n")


def note(text: str) -> None:
    """Tell people something beside the answer, on stderr, if it can be told."""
    with suppress(OSError):
        sys.stderr.write(clean(text) + "\n")
        sys.stderr.flush()


def print_error(error: str, *, hint: str = "", where: str = "", as_json: bool = False) -> None:
    """Print what went wrong, the way out and the place, on stderr, if it can be printed."""
    if as_json:
        text = json.dumps({"error": error, "hint": hint, "where": where}) + "\n"
    else:
        place = f"{clean(where)}: " if where else ""
        # An error may have several lines of its own (all that is wrong with definitions).
        lines = [clean(line) for line in error.splitlines()] or [""]
        ways = "".join(f"  hint: {clean(line)}\n" for line in hint.splitlines())
        text = f"{place}error: " + "\n".join(lines) + "\n" + ways
    with suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()


@contextmanager
def while_read() -> Iterator[None]:
    """Print until all is printed, or who reads us has seen enough: that is no error."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        discard_output()


def discard_output() -> None:
    """Let what is printed go nowhere, what waits to be printed too: it cannot be, or nobody reads.

    Else Python tries once more as it ends, and exits with a code of its own.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def terminal_width(stream: TextIO) -> int | None:
    """Give the width of the terminal in columns; None where it is not one."""
    try:
        if not stream.isatty():
            return None
        given = os.environ.get("COLUMNS", "")
        width = int(given) if given.isdecimal() else os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return None
    return width or _UNKNOWN_WIDTH


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    flexible: Iterable[str] = (),
    optional: Iterable[str] = (),
    upper: bool = True,
) -> int:
    """Print a table that fits the terminal; `flexible` columns are cut first. A pipe is not cut.

    Where that is not enough `optional` ones are left out, in their order; returns how many were.
    """
    width = terminal_width(sys.stdout)
    titles = [clean(title.upper() if upper else title) for title in columns]
    cells = [[clean("" if cell is None else cell) for cell in row] for row in rows]
    widths = [
        max([_width(title), *(_width(row[i]) for row in cells)]) for i, title in enumerate(titles)
    ]
    left_out = 0
    if width is not None and sum(widths) + 2 * (len(widths) - 1) > width:
        # Only where a table is too wide.
        from afresh.daemon.cli.columns import lay_out  # noqa: PLC0415

        places = list(map(list(columns).index, flexible)), list(map(list(columns).index, optional))
        shown = lay_out(widths, width, *places)
        left_out, widths = len(widths) - len(shown), list(shown.values())
        titles = [titles[i] for i in shown]
        cells = [[row[i] for i in shown] for row in cells]
    colour = (
        width is not None and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )
    lines = [_line(titles, widths, colour="1" if colour else "")]
    if width is None and all(cell.isascii() for row in cells for cell in row):
        # What is not cut, painted or wide needs no counting: thousands of rows come this way.
        form = "  ".join(f"{{:<{most}}}" for most in widths).format
        lines += [form(*row).rstrip() + "\n" for row in cells]
    else:
        for row in cells:
            painted = [_COLOURS.get(cell.split(" ")[0], "") if colour else "" for cell in row]
            lines.append(_line(row, widths, paints=painted))
    sys.stdout.write("".join(lines))
    return left_out


def _line(
    cells: Sequence[str], widths: Sequence[int], *, colour: str = "", paints: Sequence[str] = ()
) -> str:
    pieces = []
    for i, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        text = _fit(cell, width)
        paint = paints[i] if paints else colour
        padding = " " * (width - _width(text))
        pieces.append((f"\x1b[{paint}m{text}\x1b[0m" if paint else text) + padding)
    return "  ".join(pieces).rstrip() + "\n"


def _fit(text: str, width: int) -> str:
    if _width(text) <= width:
        return text
    kept = text[: width - 1]
    while _width(kept) > width - 1:
        kept = kept[:-1]
    return kept + "…"


def _width(text: str) -> int:
    """Count the columns that text takes: wide characters two, combining marks none."""
    if text.isascii():
        return len(text)
    # Only where there are such characters.
    from unicodedata import combining, east_asian_width  # noqa: PLC0415

    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)
