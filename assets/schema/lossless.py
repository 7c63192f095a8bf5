"""Coercion that loses nothing, or is an error.

pandera's `coerce=True` makes 1 of 1.5, True of "False" and 7 of "007" and says nothing. Here each
type that coerces is wrapped: what it made is compared with what it was made of, and what would
not come back as it was is a failure case like any other.
"""

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from pandera.errors import ParserError

from afresh.assets.schema.scalars import kept


def guarded(schema: Any, library: str) -> Any:
    """Copy a schema so that its coercions are checked; the same schema if it has none."""
    if not (schema.coerce or any(column.coerce for column in schema.columns.values())):
        return schema
    wrap = _pandas if library == "pandas" else _polars
    copied = copy.copy(schema)
    copied.columns = {}
    for name, column in schema.columns.items():
        own = copy.copy(column)
        if own.dtype is not None and (column.coerce or schema.coerce):
            own._dtype = wrap(own.dtype)  # noqa: SLF001 - the setter would resolve it anew
        copied.columns[name] = own
    if schema.dtype is not None:
        copied._dtype = wrap(schema.dtype)  # noqa: SLF001
    return copied


def _lossy(message: str, failure_cases: Any, parser_output: Any = None) -> Exception:
    error: Any = ParserError
    made: Exception = error(message, failure_cases, parser_output)
    return made


def _wrapped(dtype: Any, try_coerce: Callable[[Any], Any]) -> Any:
    # The instance's own attribute: a subclass would no longer compare equal to the dtype.
    own = copy.copy(dtype)
    object.__setattr__(own, "try_coerce", try_coerce)
    return own


def _pandas(dtype: Any) -> Any:
    def try_coerce(data: Any) -> Any:
        made = dtype.try_coerce(data)
        cases = _frame_losses(data, made) if isinstance(data, pd.DataFrame) else _losses(data, made)
        if cases is not None:
            raise _lossy(f"Could not coerce to {dtype} without loss", failure_cases=cases)
        return made

    return _wrapped(dtype, try_coerce)


def _frame_losses(before: Any, after: Any) -> Any:
    found = []
    for name in before.columns:
        cases = _losses(before[name], after[name]) if name in after else None
        if cases is not None:
            found.append(cases.assign(column=name))
    return pd.concat(found) if found else None


def _losses(before: Any, after: Any) -> Any:
    """The values that did not survive, as pandera's failure cases; None if all did."""
    if before is after or (before.dtype == after.dtype and before.dtype.kind != "O"):
        return None
    lost = _lost(before, after)
    if not lost.any():
        return None
    return pd.DataFrame(
        {"index": before.index[lost], "failure_case": before[lost].to_numpy(object)}
    )


def _lost(before: Any, after: Any) -> Any:
    nulls = before.isna().to_numpy()
    lost = nulls != after.isna().to_numpy()
    valid = ~(nulls | lost)
    if not valid.any():
        return lost
    if _is_number(before.dtype) and _is_number(after.dtype):
        lost[valid] = _numbers_lost(before[valid].to_numpy(), after[valid].to_numpy())
        return lost
    old, new = before[valid].astype(object), after[valid].astype(object)
    lost[valid] = _values_lost(old.tolist(), new.tolist())
    return lost


def _is_number(dtype: Any) -> bool:
    return bool(pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_bool_dtype(dtype))


def _numbers_lost(before: Any, after: Any) -> Any:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        back = after.astype(before.dtype)
        # -1 and 2**64 - 1 are one another's round trip, and 2**63 is not in int64.
        return (back != before) | ((before < 0) != (after < 0)) | ~_same(before, after)


def _same(before: Any, after: Any) -> Any:
    """Compare a float with an integer as float: the round trip alone may have wrapped around."""
    if (before.dtype.kind == "f") == (after.dtype.kind == "f"):
        return np.ones(len(before), np.bool_)
    return before.astype(np.float64) == after.astype(np.float64)


def _values_lost(before: list[Any], after: list[Any]) -> list[bool]:
    known: dict[Any, bool] = {}
    result = []
    for old, new in zip(before, after, strict=True):
        try:
            key = (type(old), old, type(new), new)
            lost = known.get(key)
            if lost is None:
                lost = known[key] = not kept(old, new)
        except TypeError:  # not hashable: lists, dicts
            lost = not kept(old, new)
        result.append(lost)
    return result


def _polars(dtype: Any) -> Any:
    import polars as pl  # noqa: PLC0415 - optional, and slow to import

    def try_coerce(data: Any) -> Any:
        made = dtype.try_coerce(data)
        lazy, key = (data, "*") if isinstance(data, pl.LazyFrame) else (data.lazyframe, data.key)
        before = lazy.select(key).collect()
        after = made.select(key).collect()
        for name in before.columns:
            lost = _series_lost(pl, before[name], after[name])
            if lost.any():
                raise _lossy(
                    f"Could not coerce {name!r} to {dtype} without loss",
                    failure_cases=before.select(name).filter(lost),
                    parser_output=pl.DataFrame({"check_output": ~lost}),
                )
        return made

    return _wrapped(dtype, try_coerce)


def _series_lost(pl: Any, before: Any, after: Any) -> Any:
    if before.dtype == after.dtype:
        return pl.Series([False]).new_from_index(0, len(before))
    if _plain_number(pl, before.dtype) and _plain_number(pl, after.dtype):
        back = after.cast(before.dtype, strict=False)
        return ~(
            back.eq_missing(before) & (after.cast(pl.Float64).eq_missing(before.cast(pl.Float64)))
        )
    lost = _values_lost(before.to_list(), after.to_list())
    return pl.Series(lost, dtype=pl.Boolean)


def _plain_number(pl: Any, dtype: Any) -> bool:
    return bool(dtype.is_integer() or dtype.is_float() or dtype == pl.Boolean)
