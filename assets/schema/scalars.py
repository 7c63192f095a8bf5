"""Whether one value survived a coercion: whether the old one can be told from the new one."""

import datetime as dt
import re
from collections.abc import Callable
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?\Z")
_ISO = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?)?\Z")
_TIME = re.compile(r"\d\d:\d\d(:\d\d(\.\d{1,6})?)?\Z")
_INFINITE = {"inf": float("inf"), "-inf": float("-inf")}


def kept(old: Any, new: Any) -> bool:
    """Tell whether nothing is lost from old to new; neither is null.

    Text is kept by a number that is written so, leading zeros not, by a time written as ISO 8601
    says, and by its own; a number by an equal one; anything by its text if that leads back.
    """
    try:
        if isinstance(old, str):
            return _from_text(old, new)
        if isinstance(new, str):
            return str(old) == new or _from_text(new, old)
        return _equal(old, new)
    except (TypeError, ValueError, ArithmeticError, OverflowError):
        return False


def _from_text(text: str, value: Any) -> bool:
    for kinds, test in _TEXTS:
        if isinstance(value, kinds):
            return test(text, value)
    return text == str(value)


def _float_from(text: str, value: Any) -> bool:
    if text.lower() in _INFINITE:
        return bool(_INFINITE[text.lower()] == value)
    if not _NUMBER.match(text):
        return False
    # The shortest text of the float, as its own width writes it.
    shortest = repr(value.item()) if not isinstance(value, np.float32) else str(value)
    return Decimal(text) == Decimal(shortest)


def _instant_from(text: str, value: Any) -> bool:
    if not _ISO.match(text):
        return False
    parsed, made = pd.Timestamp(text), pd.Timestamp(value)
    if parsed.tz is None and made.tz is not None:
        made = made.tz_localize(None)
    return bool(parsed == made)


def _equal(old: Any, new: Any) -> bool:
    if isinstance(old, dt.date) or isinstance(new, dt.date):
        return _instants_equal(old, new)
    if isinstance(old, float) and isinstance(new, Decimal):
        return Decimal(repr(float(old))) == new
    if isinstance(new, float) and isinstance(old, Decimal):
        return Decimal(repr(float(new))) == old
    return bool(old == new)


def _instants_equal(old: Any, new: Any) -> bool:
    if isinstance(old, Real) or isinstance(new, Real):
        number, instant = (old, new) if isinstance(old, Real) else (new, old)
        return bool(pd.Timestamp(instant).to_datetime64().view("int64") == number)
    before, after = pd.Timestamp(old), pd.Timestamp(new)
    if before.tz is None and after.tz is not None:
        after = after.tz_localize(None)
    return bool(before == after) if (before.tz is None) == (after.tz is None) else False


_TEXTS: tuple[tuple[type | tuple[type, ...], Callable[[str, Any], bool]], ...] = (
    (str, lambda text, value: text == value),
    (bytes, lambda text, value: text.encode() == value),
    ((bool, np.bool_), lambda text, value: text.lower() == str(value).lower()),
    ((int, np.integer), lambda text, value: text == str(value)),
    (
        (float, np.floating),
        lambda text, value: _float_from(text, np.float64(value) if type(value) is float else value),
    ),
    (Decimal, lambda text, value: bool(_NUMBER.match(text)) and Decimal(text) == value),
    ((pd.Timedelta, dt.timedelta), lambda text, value: bool(pd.Timedelta(text) == value)),
    (dt.datetime, _instant_from),
    (dt.date, lambda text, value: bool(_ISO.match(text)) and dt.date.fromisoformat(text) == value),
    (dt.time, lambda text, value: bool(_TIME.match(text)) and dt.time.fromisoformat(text) == value),
)
