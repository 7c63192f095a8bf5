"""Schemas: the one place that knows pandera.

`describe` turns a schema into plain data, `validate` holds data against it and `validate_rows` says
which rows break it, `read_types` says as
what a reader of text parses each column, `schema_of_annotation` reads an annotation.
"""

from afresh.assets.schema.annotation import schema_of_annotation
from afresh.assets.schema.describe import describe
from afresh.assets.schema.live import is_schema
from afresh.assets.schema.reading import read_types
from afresh.assets.schema.rows import validate_rows
from afresh.assets.schema.validation import validate

__all__ = [
    "describe",
    "is_schema",
    "read_types",
    "schema_of_annotation",
    "validate",
    "validate_rows",
]
