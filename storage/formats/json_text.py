"""JSON that the parser must not be given: it would misread it, or take the process with it."""

import json
import re

import numpy as np

from afresh.storage.formats.base import unreadable

MOST_DEPTH = 50
"""Brackets within brackets: deeper ones the parser takes minutes for, or ends the process; and
Parquet could not hold what comes of them."""
_NO_MARKS = bytes(set(range(256)) - set(b'[]{}"\n'))
_PERHAPS_NULL = re.compile(rb"^[ \t\r]*null\b|\}\s*null\b", re.MULTILINE)


def refuse_deep(data: bytes) -> None:
    """Raise UnreadableData for values that are nested too deep."""
    if data.count(b"[") + data.count(b"{") <= MOST_DEPTH:
        return
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    marks = np.frombuffer(data.translate(None, _NO_MARKS), np.uint8)
    is_quote, is_newline = marks == ord('"'), marks == ord("\n")
    in_text = np.logical_xor.accumulate(is_quote)
    steps = (marks & 2).view(np.int8) - np.int8(1)  # 1 for [ and {, -1 for ] and }
    steps[in_text | is_quote | is_newline] = 0
    depths = np.cumsum(steps, dtype=np.int32)
    if depths.max() > MOST_DEPTH:
        raise unreadable(
            f"Expected JSON of {MOST_DEPTH} levels at most, found more",
            line=1 + int(is_newline[: int(depths.argmax())].sum()),
            hint="leave out what is nested so deep, or write it as text",
        )


def refuse_nulls(data: bytes) -> None:
    """Raise UnreadableData for a line that is `null`: the parser makes a row of nulls of it."""
    if not _PERHAPS_NULL.search(data):
        return
    # Python refuses to make integers of very many digits, which the parser takes.
    decoder, text, end, row = json.JSONDecoder(parse_int=str), data.decode(), 0, 1
    while end < len(text):
        if text[end].isspace():
            end += 1
            continue
        try:
            value, end = decoder.raw_decode(text, end)
        except ValueError:  # the parser says it better
            return
        if value is None:
            raise unreadable(
                "Expected a JSON object, found null",
                row=row,
                hint="JSON Lines is one object a line; leave the line out",
            )
        row += 1
