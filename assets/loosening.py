"""Whether a changed schema is proven looser: all that passed the old one passes the new one too.

What cannot be proven from the declarations alone is not looser; the data then has to show it.
"""

import json
import math
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from afresh.assets.manifest import Column, Schema

_EXACT = 2**53
"""Up to here integers and floats compare alike in every library."""


def is_looser(old: Schema, new: Schema) -> bool:
    """Whether every frame that `old` left as valid is valid under `new`, or they are the same."""
    if old.version == new.version:
        return True
    return (
        old.data_key == new.data_key
        and _rules_are_kept(old.rules, new.rules)
        and set(new.checks) <= set(old.checks)
        and _columns_are_looser(old, new)
    )


def _rules_are_kept(old: tuple[str, ...], new: tuple[str, ...]) -> bool:
    """Whether the rules are the same, or only rules on uniqueness went."""
    gone = set(old) - set(new)
    return bool(old) and set(new) <= set(old) and all(rule.startswith("unique") for rule in gone)


def _columns_are_looser(old: Schema, new: Schema) -> bool:
    before = {(column.name, column.regex): column for column in old.columns}
    for column in new.columns:
        was = before.pop((column.name, column.regex), None)
        if was is None:
            # In a frame without other columns, one that may be absent is absent.
            if old.strict != "strict" or column.required or _has_patterns(old.columns, column):
                return False
        elif not _is_column_looser(was, column):
            return False
    if new.strict == "open":
        return True
    # The same other columns have to be refused, or dropped.
    return old.strict == new.strict and not before


def _has_patterns(columns: Iterable[Column], also: Column) -> bool:
    return also.regex or any(column.regex for column in columns)


def _is_column_looser(old: Column, new: Column) -> bool:
    return (
        (new.dtype, new.native, new.coerce) == (old.dtype, old.native, old.coerce)
        and (new.nullable or not old.nullable)
        and (old.required or not new.required)
        and all(_is_implied(check, old.checks) for check in new.checks)
    )


def _is_implied(check: str, by: tuple[str, ...]) -> bool:
    """Whether what passes the others passes a check: it is one of them, or one says more."""
    if check in by:
        return True
    wanted = _read(check)
    return wanted is not None and any(_says_more(each, wanted) for each in map(_read, by) if each)


class _Said(NamedTuple):
    """One of pandera's own checks: its name, its arguments, and what is said behind them."""

    name: str
    arguments: dict[str, Any]
    more: str


_CHECK = re.compile(r"(\w+)(\{.*\})( nulls)?")


def _read(check: str) -> _Said | None:
    found = _CHECK.fullmatch(check)
    if found is None:
        return None
    try:
        arguments = json.loads(found[2])
    except ValueError:
        return None
    return _Said(found[1], arguments, found[3] or "")


def _says_more(old: _Said, new: _Said) -> bool:
    if old.more != new.more:
        return False
    match new.name, new.arguments, old.arguments:
        case "isin", {"allowed_values": list(wider)}, {"allowed_values": list(values)}:
            return old.name == new.name and _all_among(values, wider)
        case "notin", {"forbidden_values": list(fewer)}, {"forbidden_values": list(values)}:
            return old.name == new.name and _all_among(fewer, values)
        case "str_length", _, _ if old.name == "str_length":
            return _is_within(_lengths(old.arguments), _lengths(new.arguments))
    return _is_within(_range(old), _range(new))


def _all_among(values: list[Any], others: list[Any]) -> bool:
    """By type as well: what a library takes for equal need not be."""
    known = [(type(value), value) for value in others]
    return all((type(value), value) in known for value in values)


class _Range(NamedTuple):
    """Numbers from `low` to `high`, without those where it says so."""

    low: float
    high: float
    without_low: bool = False
    without_high: bool = False


def _is_within(inner: _Range | None, outer: _Range | None) -> bool:
    if inner is None or outer is None:
        return False
    low = inner.low > outer.low or (
        inner.low == outer.low and (inner.without_low or not outer.without_low)
    )
    high = inner.high < outer.high or (
        inner.high == outer.high and (inner.without_high or not outer.without_high)
    )
    return low and high


def _range(said: _Said) -> _Range | None:
    low, high = _number(said, "min_value"), _number(said, "max_value")
    match said.name:
        case "greater_than" | "greater_than_or_equal_to" if low is not None:
            return _Range(low, math.inf, said.name == "greater_than")
        case "less_than" | "less_than_or_equal_to" if high is not None:
            return _Range(-math.inf, high, without_high=said.name == "less_than")
        case "in_range" if low is not None and high is not None:
            included = said.arguments.get("include_min"), said.arguments.get("include_max")
            return _Range(low, high, not included[0], not included[1])
    return None


def _lengths(arguments: dict[str, Any]) -> _Range | None:
    if set(arguments) - {"min_value", "max_value"}:
        return None
    return _Range(arguments.get("min_value", -math.inf), arguments.get("max_value", math.inf))


def _number(said: _Said, argument: str) -> float | None:
    value: Any = said.arguments.get(argument)
    return value if type(value) in (int, float) and abs(value) <= _EXACT else None
