"""The shape of a table."""

from typing import Any, NamedTuple


class Shape(NamedTuple):
    """A table's columns in order, those of its primary key, and the defaults of those not given."""

    columns: tuple[str, ...]
    key: tuple[str, ...]
    defaults: dict[str, Any]
