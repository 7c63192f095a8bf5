"""JSON: an object a message, or with `jsonl` several, a line each.

All messages are parsed at once, as lines of one text. That each begins with `{` and ends with `}`
makes sure that no two of them can be taken for one object.
"""

from collections.abc import Sequence

import msgspec
import pyarrow as pa

from afresh.assets.errors import UnreadableData
from afresh.storage.formats.base import Options, arrow_types, shown
from afresh.storage.formats.jsonl import parse
from afresh.storage.formats.messages.base import Decoded, Wanted

_OTHERS = {"keep": "infer", "ignore": "ignore", "refuse": "error"}
_check = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

Piece = tuple[int, int, pa.Table]
"""The lines from one to another (excluded) as a table."""


class Json:
    """One JSON object a message. It has no options."""

    name = "json"
    options: frozenset[str] = frozenset()

    def check(self, options: Options) -> None:
        """Nothing can be wrong."""

    def decode(self, values: Sequence[bytes], wanted: Wanted, options: Options) -> Decoded:
        """Decode all values (see `MessageFormat`)."""
        del options
        bad: dict[int, str] = {}
        lines: list[bytes] = []
        sources: list[int] = []
        for index, value in enumerate(values):
            line = value
            if not _is_whole(line):
                line = line.strip()
                if not _is_whole(line):
                    bad[index] = f"Expected a JSON object, found {shown(value)}"
                    continue
            lines.append(line)
            sources.append(index)
        return _decode(lines, sources, bad, wanted)


class JsonLines:
    """JSON objects, a line each, any number a message. It has no options.

    A message with a line that cannot be read is bad as a whole: none of its rows is published.
    """

    name = "jsonl"
    options: frozenset[str] = frozenset()

    def check(self, options: Options) -> None:
        """Nothing can be wrong."""

    def decode(self, values: Sequence[bytes], wanted: Wanted, options: Options) -> Decoded:
        """Decode all values (see `MessageFormat`)."""
        del options
        bad: dict[int, str] = {}
        lines: list[bytes] = []
        sources: list[int] = []
        for index, value in enumerate(values):
            pieces = [piece for piece in map(bytes.strip, value.split(b"\n")) if piece]
            wrong = next((piece for piece in pieces if not _is_whole(piece)), None)
            if wrong is not None or not pieces:
                found = "none" if wrong is None else shown(wrong)
                bad[index] = f"Expected JSON objects, one a line, found {found}"
                continue
            lines += pieces
            sources += [index] * len(pieces)
        return _decode(lines, sources, bad, wanted)


def _is_whole(line: bytes) -> bool:
    return line[:1] == b"{" and line[-1:] == b"}"


def _decode(lines: list[bytes], sources: list[int], bad: dict[int, str], wanted: Wanted) -> Decoded:
    """Parse lines. A message of which one line cannot be parsed has no rows."""
    types, others = arrow_types(wanted.types), _OTHERS[wanted.others]
    if not lines:
        return Decoded(_no_rows(types), sources, bad)
    table = _parse(lines, types, others)
    if table is not None:
        return Decoded(table, sources if bad or sources[-1] != len(lines) - 1 else None, bad)
    pieces, wrong = _search(lines, types, others)
    bad |= {sources[place]: reason for place, reason in wrong.items()}
    lines, kept = _without(lines, sources, bad)
    if not lines:
        return Decoded(_no_rows(types), [], bad)
    table = _parse(lines, types, others)
    if table is None:
        # Each piece is good, but they differ in fields that nobody declared.
        wrong = _differing(pieces)
        bad |= {sources[place]: reason for place, reason in wrong.items()}
        table, kept = _joined(pieces, sources, bad)
    return Decoded(table, kept, bad)


def _parse(lines: list[bytes], types: dict[str, pa.DataType], others: str) -> pa.Table | None:
    """Parse lines at once; None where one of them is not one object of these types."""
    data = b"\n".join(lines)
    if b"\0" in data or not _is_utf8(data):
        return None
    try:
        table = parse(data, types, others=others, explain=False)
    except UnreadableData:
        return None
    return table if table.num_rows == len(lines) else None


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _search(
    lines: list[bytes], types: dict[str, pa.DataType], others: str
) -> tuple[list[Piece], dict[int, str]]:
    """Find the lines that cannot be parsed, by halves; the rest as tables, in order."""
    wrong = {place: reason for place, line in enumerate(lines) if (reason := _broken(line))}
    pieces: list[Piece] = []
    spans = [(0, len(lines))]
    while spans:
        low, high = spans.pop()
        broken = next((place for place in range(low, high) if place in wrong), None)
        if broken is not None and high - low > 1:
            spans += [(broken + 1, high), (broken, broken + 1), (low, broken)]
        elif broken is None and low < high:
            table = _parse(lines[low:high], types, others)
            if table is not None:
                pieces.append((low, high, table))
            elif high - low == 1:
                wrong[low] = _reason(lines[low], types, others)
            else:
                middle = (low + high) // 2
                spans += [(middle, high), (low, middle)]
    return pieces, wrong


def _broken(line: bytes) -> str:
    """Say why a line is no JSON object; "" if it is one."""
    try:
        _check(line)
    except (msgspec.DecodeError, RecursionError) as error:
        return f"Expected a JSON object, found: {error}"
    return ""


def _reason(line: bytes, types: dict[str, pa.DataType], others: str) -> str:
    try:
        line.decode()
        parse(line, types, others=others)
    except UnicodeDecodeError as error:
        return f"Expected text in utf-8, found byte 0x{line[error.start]:02x} at {error.start}"
    except UnreadableData as error:
        said = error.error.replace(" in row 1, ", " in ")
        return said.removesuffix(" in row 1").removesuffix(" in line 1")
    return "Expected one JSON object, found several"


def _without(
    lines: list[bytes], sources: list[int], bad: dict[int, str]
) -> tuple[list[bytes], list[int]]:
    kept = [place for place, source in enumerate(sources) if source not in bad]
    return [lines[place] for place in kept], [sources[place] for place in kept]


def _differing(pieces: list[Piece]) -> dict[int, str]:
    """Find the pieces whose types do not fit to those before them."""
    schema = pieces[0][2].schema
    wrong: dict[int, str] = {}
    for low, high, table in pieces[1:]:
        try:
            schema = pa.unify_schemas([schema, table.schema], promote_options="permissive")
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            reason = f"Expected types like those of the records before, found: {error}"
            wrong |= dict.fromkeys(range(low, high), reason)
    return wrong


def _joined(
    pieces: list[Piece], sources: list[int], bad: dict[int, str]
) -> tuple[pa.Table, list[int]]:
    tables: list[pa.Table] = []
    kept: list[int] = []
    for low, high, table in pieces:
        places = [place for place in range(low, high) if sources[place] not in bad]
        kept += [sources[place] for place in places]
        if len(places) == high - low:
            tables.append(table)
        elif places:
            tables.append(table.take([place - low for place in places]))
    if not tables:
        return pieces[0][2].slice(0, 0), kept
    return pa.concat_tables(tables, promote_options="permissive"), kept


def _no_rows(types: dict[str, pa.DataType]) -> pa.Table:
    return pa.schema(list(types.items())).empty_table()
