"""What pandera found, in the words of afresh: one line, and failure cases as plain rows."""

from collections.abc import Iterator
from typing import Any

from pandera.errors import SchemaError, SchemaErrorReason, SchemaErrors

from afresh.assets.errors import InvalidData
from afresh.assets.schema.dtypes import canonical, native
from afresh.assets.schema.live import Live

LIMIT = 100
_NAMES_SHOWN = 10
_TEXT_SHOWN = 80

_FIRST = (
    SchemaErrorReason.COLUMN_NOT_IN_DATAFRAME,
    SchemaErrorReason.COLUMN_NOT_IN_SCHEMA,
    SchemaErrorReason.DATATYPE_COERCION,
    SchemaErrorReason.WRONG_DATATYPE,
)


def invalid(error: SchemaErrors | SchemaError, found: Live, frame: Any) -> InvalidData:
    """Make the error that says what broke the schema, the most telling failure first."""
    every = error.schema_errors if isinstance(error, SchemaErrors) else [error]
    errors = sorted(_causes(every), key=_rank)
    names = [str(name) for name in frame.columns]
    text, hint = _words(errors, found, names, frame)
    total = sum(_count(each) for each in errors)
    if total > 1:
        text += f" ({total} failures in all)"
    return InvalidData(text, hint=hint, cases=tuple(_cases(errors)), total=total)


def failing_rows(error: SchemaErrors | SchemaError) -> dict[int, str] | None:
    """Say for each row that breaks the schema why; None where it is not single rows that do."""
    every = error.schema_errors if isinstance(error, SchemaErrors) else [error]
    rows: dict[int, str] = {}
    for each in _causes(every):
        cases = each.failure_cases
        if each.reason_code == SchemaErrorReason.WRONG_DATATYPE or not hasattr(cases, "columns"):
            return None
        found = _cases_of_rows(each)
        if not found:
            return None
        of = f" in column {_column(each)!r}" if _column(each) else ""
        check = _check(each) or "another value"
        for row, value in found:
            rows.setdefault(row, f"Expected {check}{of}, found {value!r}")
    return rows


def _cases_of_rows(error: SchemaError) -> list[tuple[int, str]]:
    cases = error.failure_cases
    if _is_polars(cases):
        return [(row, "it") for row in _failing_rows(error)]
    if "index" not in cases.columns or cases["index"].isna().any():
        return []
    return [
        (int(row), _short(value))
        for row, value in zip(cases["index"], cases["failure_case"], strict=True)
    ]


def _causes(errors: list[SchemaError]) -> list[SchemaError]:
    """Leave out what only follows: checks cannot run on absent columns or on other types."""
    reasons = SchemaErrorReason
    absent = any(error.reason_code == reasons.COLUMN_NOT_IN_DATAFRAME for error in errors)
    lossy = {_column(e) for e in errors if e.reason_code == reasons.DATATYPE_COERCION}
    wrong = lossy | {_column(e) for e in errors if e.reason_code == reasons.WRONG_DATATYPE}

    def follows(error: SchemaError) -> bool:
        if error.reason_code == reasons.WRONG_DATATYPE:
            return _column(error) in lossy
        if error.reason_code != reasons.CHECK_ERROR:
            return False
        column = _column(error)
        return column in wrong if column else absent or bool(wrong)

    return [error for error in errors if not follows(error)]


def _rank(error: SchemaError) -> int:
    return _FIRST.index(error.reason_code) if error.reason_code in _FIRST else len(_FIRST)


def _count(error: SchemaError) -> int:
    cases = error.failure_cases
    if error.reason_code == SchemaErrorReason.WRONG_DATATYPE or not hasattr(cases, "columns"):
        return 1
    return max(len(cases), 1)


def _cases(errors: list[SchemaError]) -> Iterator[dict[str, str]]:
    left = LIMIT
    for error in errors:
        column, check = _column(error), _check(error)
        for value, index in _values(error, left):
            case = {"column": column, "check": check, "value": value}
            yield case | ({"row": _row(index)} if index.isdecimal() else {}) | {"index": index}
            left -= 1
        if not left:
            return


def _values(error: SchemaError, left: int) -> Iterator[tuple[str, str]]:
    """The failing values with their rows, as far as pandera knows them."""
    cases = error.failure_cases
    left = min(left, _count(error))
    if not hasattr(cases, "columns"):
        yield (_short("" if cases is None else cases), "")
        return
    if _is_polars(cases):
        rows = _failing_rows(error)
        for place, row in enumerate(cases.head(left).iter_rows(named=True)):
            values = list(row.values())
            index = str(rows[place]) if place < len(rows) else ""
            yield _short(values[0] if len(values) == 1 else row), index
        return
    for row in cases.head(left).itertuples(index=False):
        index = getattr(row, "index", "")
        yield _short(getattr(row, "failure_case", row)), "" if callable(index) else str(index)


def _row(index: str) -> str:
    """Give the row that an index counts, from 1; another label as it is."""
    return str(int(index) + 1) if index.isdecimal() else index


def _is_polars(cases: Any) -> bool:
    return type(cases).__module__.partition(".")[0] == "polars"


def _failing_rows(error: SchemaError) -> list[int]:
    output = error.check_output if error.check_output is not None else error.parser_output
    if output is None or not hasattr(output, "columns"):
        return []
    output = output.collect() if hasattr(output, "collect") else output
    return [
        place for place, good in enumerate(output[output.columns[-1]].to_list()) if good is False
    ]


def _short(value: object) -> str:
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= _TEXT_SHOWN else text[: _TEXT_SHOWN - 1] + "…"


def _column(error: SchemaError) -> str:
    if error.reason_code in (
        SchemaErrorReason.COLUMN_NOT_IN_DATAFRAME,
        SchemaErrorReason.COLUMN_NOT_IN_SCHEMA,
        SchemaErrorReason.COLUMN_NOT_ORDERED,
    ):
        return str(error.failure_cases)
    if error.column_name is not None:
        return str(error.column_name)
    cases = error.failure_cases
    if error.reason_code == SchemaErrorReason.DATATYPE_COERCION and _is_polars(cases):
        return str(cases.columns[0]) if len(cases.columns) == 1 else ""
    schema = error.schema
    return "" if hasattr(schema, "columns") else str(getattr(schema, "name", "") or "")


def _check(error: SchemaError) -> str:
    if error.reason_code == SchemaErrorReason.DATATYPE_COERCION:
        return "coerce"
    check = error.check
    if check is None or isinstance(check, str):
        return check or ""
    return str(getattr(check, "error", None) or getattr(check, "name", None) or check)


def _wanted(column: str, found: Live) -> str:
    declared = found.plain.columns.get(column)
    dtype = found.plain.dtype or getattr(declared, "dtype", None)
    return canonical(dtype, found.library)


def _words(errors: list[SchemaError], found: Live, names: list[str], frame: Any) -> tuple[str, str]:
    first = errors[0]
    column, check = _column(first), _check(first)
    value, index = next(iter(_values(first, 1)), ("", ""))
    value = repr(value) + (f" in row {_row(index)}" if index else "")
    match first.reason_code:
        case SchemaErrorReason.COLUMN_NOT_IN_DATAFRAME:
            missing = [_column(e) for e in errors if e.reason_code == first.reason_code]
            return f"Expected column{_s(missing)} {_listed(missing)}, found {_listed(names)}", ""
        case SchemaErrorReason.COLUMN_NOT_IN_SCHEMA:
            extra = [_column(e) for e in errors if e.reason_code == first.reason_code]
            expected = _listed(list(found.plain.columns))
            return (
                f"Expected only the columns {expected}, found {_listed(extra)} too",
                "drop them, or say strict='filter' in the schema",
            )
        case SchemaErrorReason.DATATYPE_COERCION:
            wanted = _wanted(column, found) or "its type"
            return f"Expected column {column!r} to become {wanted} without loss, found {value}", ""
        case SchemaErrorReason.WRONG_DATATYPE:
            return _wrong_type(_wanted(column, found), column, found, frame)
        case SchemaErrorReason.SERIES_CONTAINS_NULLS:
            return f"Expected no nulls in column {column!r}, found some" + (
                f", the first in row {_row(index)}" if index else ""
            ), "declare it nullable=True if they may be there"
        case SchemaErrorReason.SERIES_CONTAINS_DUPLICATES:
            return (
                f"Expected distinct values in column {column!r}, found {value} more than once",
                "",
            )
        case SchemaErrorReason.DUPLICATES:
            return f"Expected distinct rows, found {value} more than once", ""
        case SchemaErrorReason.COLUMN_NOT_ORDERED:
            expected = _listed(list(found.plain.columns))
            return f"Expected columns in the order {expected}, found {_listed(names)}", ""
        case SchemaErrorReason.CHECK_ERROR:
            raised = _short(first.failure_cases)
            return f"Expected check {check} to run, found that it raised {raised}", ""
        case _:
            of = f" in column {column!r}" if column else ""
            return f"Expected {check}{of}, found {value}", ""


def _wrong_type(wanted: str, column: str, found: Live, frame: Any) -> tuple[str, str]:
    held = str(frame[column].dtype)
    start = f"Expected column {column!r} as {wanted}"
    # Read with nulls, an int64 is an Int64: the nulls are what is wrong, not the type.
    if held in ("boolean", held.capitalize(), "UInt" + held[4:]) and wanted == _plain_name(held):
        nulls = int(frame[column].isna().sum())
        if nulls:
            return (
                f"Expected no nulls in column {column!r}, found {nulls}",
                f"declare it as {held} with nullable=True, or as a float",
            )
    if wanted.startswith("category["):
        allowed = set(native(found.plain.dtype or found.plain.columns[column].dtype).categories)
        for row, value in enumerate(frame[column].to_list(), 1):
            if isinstance(value, str) and value not in allowed:
                return f"{start}, found {_short(value)!r} in row {row}", ""
    return f"{start}, found {held}", _HINTS.get((wanted, held), "")


def _plain_name(held: str) -> str:
    return "bool" if held == "boolean" else held.lower()


_HINTS = {
    ("string", "object"): "astype(str) makes text of an object column",
}


def _s(names: list[str]) -> str:
    return "s" if len(names) > 1 else ""


def _listed(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_NAMES_SHOWN])
    more = len(names) - _NAMES_SHOWN
    return (shown or "none") + (f" and {more} more" if more > 0 else "")
