"""Data is held against a schema: whole, every time, whatever the environment says."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
from pandera.config import CONFIG, ValidationDepth, config_context, get_config_context
from pandera.errors import SchemaError, SchemaErrors

from afresh.assets.errors import InvalidData, UsageError
from afresh.assets.frames import library_of, to_given, to_table
from afresh.assets.manifest import Given
from afresh.assets.schema.arrange import arranged, fitted
from afresh.assets.schema.failures import invalid
from afresh.assets.schema.live import Live, live

Explain = Callable[[SchemaErrors | SchemaError, Live, Any], Exception]
"""Makes of what pandera found of a frame the error that is raised."""


def validate(data: Any, schema: object, given: Given, *, explain: Explain = invalid) -> Any:
    """Validate a frame or table and return it in the shape `given`, as the schema leaves it.

    A table is first represented as the schema declares (see `arrange`); a lazy frame is collected.
    Raises InvalidData with at most 100 failure cases, UsageError when pandera is switched off, and
    DefinitionError for a schema that cannot be held.
    """
    found = live(schema)
    _refuse_switched_off()
    held = library_of(data)
    if held not in ("pyarrow", given) and {held, given} != {"polars", "polars_lazy"}:
        raise InvalidData(
            f"Expected {_NAMES.get(given, given)}, found {_NAMES.get(held) or type(data).__name__}",
            hint="return what the annotation says, or change the annotation",
        )
    table: pa.Table | None = None
    if held == "polars_lazy":
        data = data.collect()
    if held.partition("_")[0] != found.library:
        table = arranged(to_table(data), found)
        data = to_given(table, found.library)
        if found.library == "polars":
            data = fitted(data, found)
    valid = _run(found, data, explain, own=table is not None)
    return _leave(valid, found, given, table if found.inert else None)


_NAMES = {
    "pandas": "a pandas frame",
    "polars": "a polars frame",
    "polars_lazy": "a polars lazy frame",
    "pyarrow": "a pyarrow.Table",
}


def _run(found: Live, frame: Any, explain: Explain, *, own: bool) -> Any:
    """`own`: nobody else holds the frame, so it need not be copied."""
    options = {"lazy": True}
    if own and found.library == "pandas" and found.inert:
        options["inplace"] = True
    try:
        with config_context(validation_depth=ValidationDepth.SCHEMA_AND_DATA):
            return found.schema.validate(frame, **options)
    except (SchemaErrors, SchemaError) as error:
        raise explain(error, found, frame) from None


def _leave(valid: Any, found: Live, given: Given, table: pa.Table | None) -> Any:
    if given == found.library:
        return valid
    if given == "polars_lazy" and found.library == "polars":
        return valid.lazy()
    # A schema that only looks at data leaves the table as it was.
    return to_given(table if table is not None else to_table(valid), given)


def _refuse_switched_off() -> None:
    for config in (CONFIG, get_config_context()):
        if not config.validation_enabled:
            raise UsageError(
                "Expected pandera's validation switched on, found it off",
                hint="unset PANDERA_VALIDATION_ENABLED",
            )
        if config.use_narwhals_backend:
            raise UsageError(
                "Expected pandera's own backends, found narwhals: it loses data when it coerces",
                hint="unset PANDERA_USE_NARWHALS_BACKEND",
            )
