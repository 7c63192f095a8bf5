"""A table held against a schema row by row: which rows break it, and why."""

from typing import Any

import pyarrow as pa
from pandera.errors import SchemaError, SchemaErrors

from afresh.assets.schema.failures import failing_rows, invalid
from afresh.assets.schema.live import Live
from afresh.assets.schema.validation import validate


class _BadRows(Exception):
    def __init__(self, rows: dict[int, str]) -> None:
        super().__init__()
        self.rows = rows


def validate_rows(table: pa.Table, schema: object) -> tuple[pa.Table | None, dict[int, str]]:
    """Give the table as the schema leaves it, or else the rows that break it, with the reasons.

    Raises InvalidData where it is not single rows that do, and what `validate` raises.
    """
    try:
        return validate(table, schema, "pyarrow", explain=_explain), {}
    except _BadRows as bad:
        return None, bad.rows


def _explain(error: SchemaErrors | SchemaError, found: Live, frame: Any) -> Exception:
    rows = failing_rows(error)
    return _BadRows(rows) if rows else invalid(error, found, frame)
