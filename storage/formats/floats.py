"""Numbers in text that a float cannot hold: refused, never rounded silently.

A fraction is read as the nearest float, which is what a column of floats says. A number beyond
the integers that the float's width counts one by one must come back with the digits it was
written with; what is not zero or infinite must not become so.
"""

import math
from collections.abc import Callable, Iterable
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal, InvalidOperation

import numpy as np
import pyarrow as pa

from afresh.storage.formats.base import shown, unreadable

_COUNTED = {16: 2**11, 32: 2**24, 64: 2**53}
_INFINITE = ("inf", "infinity")
_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
"""Rounds nothing: by default a number of 29 digits would be made one of 28."""


def check_floats(
    table: pa.Table, data: bytes, texts: Callable[[str], Iterable[str | None]]
) -> None:
    """Raise UnreadableData for the first number that was not kept.

    `texts` gives a column as it is written, value by value: it is asked for those columns alone in
    which something may be lost, so most files cost a look at each column's range.
    """
    tiny: bool | None = None
    for field in table.schema:
        if not pa.types.is_floating(field.type):
            continue
        column = table.column(field.name)
        limit = _COUNTED[field.type.bit_width]
        large, zero = _looked_at(column, limit)
        if zero and not large and tiny is None:
            tiny = _has_tiny(data)
        if not (large or (zero and tiny)):
            continue
        written = zip(column.cast(pa.float64()).to_pylist(), texts(field.name), strict=False)
        for row, (value, text) in enumerate(written, 1):
            if value is None or text is None or (value and abs(value) < limit):
                continue
            if _is_lost(text, value):
                raise unreadable(
                    f"Expected {field.type} without loss, found {shown(text)}",
                    row=row,
                    column=field.name,
                    hint="declare the column as an integer, a decimal or text",
                )


def _looked_at(column: pa.ChunkedArray, limit: int) -> tuple[bool, bool]:
    """Tell whether there are numbers beyond the limit, and zeros."""
    large = zero = False
    # On the bare buffers: for 900 rows Arrow's own functions take ten times as long.
    for chunk in column.chunks:
        if len(chunk):
            kind = f"f{chunk.type.bit_width // 8}"
            values = np.frombuffer(chunk.buffers()[1], kind)[chunk.offset :][: len(chunk)]
            large = large or bool((np.abs(values) >= limit).any())
            zero = zero or not values.all()
    return large, zero


def _has_tiny(data: bytes) -> bool:
    """Tell whether there is an `e-` anywhere: what is written otherwise is too long to be tiny."""
    letters = np.frombuffer(data, np.uint8)
    before = letters[np.flatnonzero(letters == ord("-")) - 1]
    return bool(((before | 0x20) == ord("e")).any())


def _is_lost(text: str, value: float) -> bool:
    text = text.strip()
    if math.isinf(value):
        return text.lstrip("+-").lower() not in _INFINITE
    try:
        exact = Decimal(text).normalize(_EXACT)
    except InvalidOperation:
        return False
    if not exact.is_finite() or not value:
        return exact.is_finite() and bool(exact)
    digits = len(exact.as_tuple().digits)
    return Decimal(f"{value:.{digits - 1}e}") != exact
