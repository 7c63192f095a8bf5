import datetime as dt
import io
import subprocess
import sys
from decimal import Decimal
from typing import Annotated, Any, Optional

import numpy as np
import pandas as pd
import pandera.config
import pandera.pandas as pan
import pandera.polars as pop
import pandera.typing as pt
import pandera.typing.polars as ptp
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pandera.engines.pandas_engine import DateTime

from afresh.assets.arrow_types import arrow_type
from afresh.assets.errors import DefinitionError, InvalidData, UsageError
from afresh.assets.frames import to_given, to_table
from afresh.assets.schema import describe, is_schema, read_types, schema_of_annotation, validate

_any: Any = DateTime
ANY_ZONE = _any(time_zone_agnostic=True)


class Row(pan.DataFrameModel):
    text: str = pan.Field(str_length={"min_value": 1, "max_value": 2})
    number: float = pan.Field(nullable=True)
    count: int = pan.Field(ge=1, isin={1, 2, 3}, unique=True)
    maybe: pd.Int64Dtype = pan.Field(nullable=True)
    grade: pd.CategoricalDtype = pan.Field(dtype_kwargs={"categories": ["b", "a"], "ordered": True})
    at: Annotated[pd.DatetimeTZDtype, "us", "UTC"]
    day: pan.Date
    extra: Optional[bool]  # noqa: UP045 - pandera's way to say that it may be absent

    @pan.check("text")
    def lower(cls, series: Any) -> Any:  # noqa: N805
        return series.str.islower()

    class Config:
        strict = True


class PolarsRow(pop.DataFrameModel):
    text: str = pop.Field(str_length={"min_value": 1, "max_value": 2})
    count: int = pop.Field(ge=1, unique=True)
    grade: pl.Enum(["b", "a"])  # type: ignore[valid-type]
    price: pl.Decimal(10, 2)  # type: ignore[valid-type]

    class Config:
        strict = "filter"


TABLE = pa.table(
    {
        "text": ["a", "b"],
        "number": [1.0, None],
        "count": [1, 2],
        "maybe": [1, None],
        "grade": ["a", "b"],
        "at": pa.array([0, 1], pa.timestamp("us", "UTC")),
        "day": pa.array([0, 1], pa.date32()),
    }
)
POLARS = pa.table(
    {
        "text": ["a", "b"],
        "count": [1, 2],
        "grade": ["a", "b"],
        "price": pa.array([Decimal("1.10"), None], pa.decimal128(38, 2)).fill_null(Decimal("2.00")),
        "other": [1, 2],
    }
)


def stored(table: pa.Table) -> pa.Table:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return pq.read_table(io.BytesIO(sink.getvalue()))


def with_column(name: str, values: Any, table: pa.Table = TABLE) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, pa.chunked_array([values]))


def refused(data: Any, schema: object, given: Any = "pandas") -> InvalidData:
    with pytest.raises(InvalidData) as caught:
        validate(data, schema, given)
    assert "\n" not in str(caught.value)
    assert len(caught.value.cases) <= 100
    return caught.value


# describe


def test_a_schema_as_data() -> None:
    schema = describe(Row)
    assert (schema.name, schema.strict) == ("Row", "strict")
    assert [(c.name, c.dtype, c.nullable, c.required) for c in schema.columns] == [
        ("text", "string", False, True),
        ("number", "float64", True, True),
        ("count", "int64", False, True),
        ("maybe", "int64", True, True),
        ("grade", 'category["b","a"] ordered', False, True),
        ("at", "timestamp[us, UTC]", False, True),
        ("day", "date", False, True),
        ("extra", "bool", False, False),
    ]
    checks = schema.columns[0].checks
    assert checks[0] == 'str_length{"max_value": 2, "min_value": 1}'
    assert checks[1].startswith("lower #")
    assert schema.columns[2].checks == (
        'greater_than_or_equal_to{"min_value": 1}',
        'isin{"allowed_values": [1, 2, 3]}',
        "unique",
    )
    assert describe(Row.to_schema()).version == schema.version


def test_types_of_polars_have_the_same_names() -> None:
    kinds: dict[Any, str] = {
        pl.String: "string", pl.Int8: "int8", pl.UInt64: "uint64", pl.Float32: "float32",
        pl.Boolean: "bool", pl.Date: "date", pl.Time: "time[ns]", pl.Binary: "binary",
        pl.Datetime("ns", "Europe/Berlin"): "timestamp[ns, Europe/Berlin]",
        pl.Duration("ms"): "duration[ms]", pl.Categorical: "category",
        pl.Decimal(10, 2): "decimal(10, 2)", pl.List(pl.Int64): "list<int64>",
        pl.Struct({"a": pl.Int8, "b": pl.List(pl.String)}): "struct<a: int8, b: list<string>>",
    }  # fmt: skip
    for kind, name in kinds.items():
        found = describe(pop.DataFrameSchema({"x": pop.Column(kind)})).columns[0].dtype
        assert found == name
        if name != "category":
            arrow_type(name)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("int8", "int8"), ("UInt16", "uint16"), ("Float32", "float32"), ("boolean", "bool"),
        ("string", "string"), (object, "object"), (None, ""), ("timedelta64[ns]", "duration[ns]"),
        (pd.ArrowDtype(pa.int64()), "int64"), (pan.Decimal(10, 2), "decimal(10, 2)"),
        ("category", "category"),
        (ANY_ZONE, "timestamp[ns, *]"), ("float16", "float16"),
    ],
)  # fmt: skip
def test_types_of_pandas(kind: Any, name: str) -> None:
    assert describe(pan.DataFrameSchema({"x": pan.Column(kind)})).columns[0].dtype == name


def both(**options: Any) -> tuple[str, str]:
    """The hashes of a schema of one column."""
    frame = {k: options.pop(k) for k in ("strict", "ordered", "checks", "parsers") if k in options}
    kind = options.pop("kind", int)
    described = describe(pan.DataFrameSchema({"x": pan.Column(kind, **options)}, **frame))
    return described.data_key, described.version


@pytest.mark.parametrize(
    "options",
    [
        {"checks": pan.Check(lambda frame: frame["x"] > 0)},
        {"nullable": True},
        {"unique": True},
        {"strict": True},
        {"kind": float},
        {"required": False},
    ],
)
def test_what_only_looks_changes_the_version_alone(options: dict[str, Any]) -> None:
    (data, version), (plain_data, plain_version) = both(**options), both()
    assert data == plain_data
    assert version != plain_version


@pytest.mark.parametrize(
    "options",
    [
        {"coerce": True},
        {"coerce": True, "kind": float},
        {"default": 1},
        {"default": 2},
        {"strict": "filter"},
        {"ordered": True},
        {"kind": "Int64"},
        {"parsers": pan.Parser(lambda frame: frame)},
        {"parsers": pan.Parser(lambda frame: frame + 1)},
    ],
)
def test_what_is_done_to_data_changes_both(options: dict[str, Any]) -> None:
    (data, version), (plain_data, plain_version) = both(**options), both()
    assert data != plain_data
    assert version != plain_version


def test_two_codes_of_a_check_are_two_versions() -> None:
    def version(check: Any) -> str:
        return both(checks=pan.Check(check, name="same"))[1]

    assert version(lambda frame: frame["x"] > 0) != version(lambda frame: frame["x"] > 1)
    one, two = lambda frame: frame["x"] > 0, lambda frame: frame["x"] > 0
    assert version(one) == version(two)


def test_every_process_describes_alike() -> None:
    script = """
import pandera.pandas as pa
from afresh.assets.schema import describe
s = describe(pa.DataFrameSchema({"x": pa.Column(str, pa.Check.isin({"a", "b", "c", "d"}))}))
print(s.version, s.data_key, s.columns[0].checks)
"""
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": seed},
            capture_output=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(outputs) == 1


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (pan.DataFrameSchema({}, index=pan.Index(int)), "index"),
        (pan.DataFrameSchema({"x": pan.Column(int)}, drop_invalid_rows=True), "drop_invalid_rows"),
        (pan.DataFrameSchema({"x": pan.Column(int, drop_invalid_rows=True)}), "drop_invalid_rows"),
        (pan.SeriesSchema(int), "pandera model or schema"),
        (int, "pandera model or schema"),
    ],
)
def test_schemas_that_are_refused(schema: Any, words: str) -> None:
    with pytest.raises(DefinitionError, match=words):
        describe(schema)


def test_an_unreadable_model_is_refused() -> None:
    class Thing:
        pass

    class Unreadable(pan.DataFrameModel):
        x: Thing

    with pytest.raises(DefinitionError, match="Unreadable"):
        describe(Unreadable)


# annotations


@pytest.mark.parametrize(
    ("annotation", "found"),
    [
        (pt.DataFrame[Row], ("pandas", Row)),
        (ptp.DataFrame[PolarsRow], ("polars", PolarsRow)),
        (ptp.LazyFrame[PolarsRow], ("polars_lazy", PolarsRow)),
        (pd.DataFrame, ("pandas", None)),
        (pl.DataFrame, ("polars", None)),
        (pl.LazyFrame, ("polars_lazy", None)),
        (pa.Table, ("pyarrow", None)),
        (Annotated[pa.Table, Row], ("pyarrow", Row)),
        (Annotated[pd.DataFrame, "note", Row], ("pandas", Row)),
        (Annotated[pt.DataFrame[Row], "note"], ("pandas", Row)),
        (Annotated[int, Row], None),
        (int, None),
        (Row, None),
        (list[int], None),
        (None, None),
        ("text", None),
    ],
)
def test_annotations(annotation: Any, found: Any) -> None:
    assert schema_of_annotation(annotation) == found


def test_a_typed_frame_of_no_schema_is_refused() -> None:
    with pytest.raises(DefinitionError, match="frame of a schema"):
        schema_of_annotation(pt.DataFrame[int])


def test_what_is_a_schema() -> None:
    assert is_schema(Row)
    assert is_schema(PolarsRow)
    assert is_schema(Row.to_schema())
    assert not is_schema(int)
    assert not is_schema(Row.to_schema().columns["text"])
    assert not is_schema(None)


# reading


def test_what_text_is_read_as() -> None:
    types = read_types(describe(Row))
    assert types == {
        "text": "string", "number": "float64", "count": "int64", "maybe": "int64",
        "grade": "string", "at": "timestamp[us, UTC]", "day": "date", "extra": "bool",
    }  # fmt: skip
    for name in types.values():
        arrow_type(name)


def test_columns_by_pattern_need_the_names() -> None:
    schema = describe(
        pan.DataFrameSchema({"x_.*": pan.Column(float, regex=True), "free": pan.Column()})
    )
    assert read_types(schema) == {}
    assert read_types(schema, ["x_1", "y", "free"]) == {"x_1": "float64"}


# validation


@pytest.mark.parametrize("given", ["pandas", "pyarrow"])
@pytest.mark.parametrize("rows", [0, 2])
def test_valid_stays_valid_when_it_is_read_back(given: Any, rows: int) -> None:
    first = validate(TABLE[:rows], Row, given)
    again = validate(stored(to_table(first)), Row, given)
    assert to_table(again).equals(to_table(first))
    frame = validate(stored(to_table(first)), Row, "pandas")
    assert frame.dtypes.astype(str).tolist() == [
        "str", "float64", "int64", "Int64", "category", "datetime64[us, UTC]", "object",
    ]  # fmt: skip
    assert frame["grade"].cat.ordered
    Row.validate(frame)


@pytest.mark.parametrize("given", ["polars", "polars_lazy", "pyarrow", "pandas"])
def test_polars_is_checked_whole_and_given_as_asked(given: Any) -> None:
    valid = validate(POLARS, PolarsRow, given)
    table = stored(to_table(valid))
    assert table.column_names == ["text", "count", "grade", "price"]
    assert validate(table, PolarsRow, "polars").schema["grade"] == pl.Enum(["b", "a"])
    bad = with_column("count", pa.array([0, 1]), POLARS)
    error = refused(bad, PolarsRow, given)
    assert error.cases == (
        {
            "column": "count",
            "check": "greater_than_or_equal_to(1)",
            "value": "0",
            "row": "1",
            "index": "0",
        },
    )


def test_the_data_of_a_lazy_frame_is_checked() -> None:
    bad = validate(POLARS, PolarsRow, "polars").with_columns(pl.lit(0, pl.Int64).alias("count"))
    refused(bad.lazy(), PolarsRow, "polars_lazy")


def test_depth_is_not_the_environments_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    depth = pandera.config.ValidationDepth.SCHEMA_ONLY
    monkeypatch.setattr(pandera.config.CONFIG, "validation_depth", depth)
    refused(with_column("count", pa.array([0, 1])), Row)
    refused(with_column("count", pa.array([0, 1]), POLARS), PolarsRow, "polars")


def test_pandera_switched_off_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pandera.config.CONFIG, "validation_enabled", False)
    with pytest.raises(UsageError, match="switched on"):
        validate(TABLE, Row, "pandas")
    monkeypatch.undo()
    with (
        pandera.config.config_context(validation_enabled=False),
        pytest.raises(UsageError, match="switched on"),
    ):
        validate(TABLE, Row, "pandas")


@pytest.mark.parametrize(
    ("table", "words", "total"),
    [
        (TABLE.drop_columns(["text"]), "Expected column 'text', found 'number', 'count'", 1),
        (TABLE.drop_columns(["text", "day"]), "Expected columns 'text', 'day', found", 2),
        (TABLE.append_column("zz", [[1, 2]]), "found 'zz' too", 1),
        (with_column("text", pa.array([1, 2])), "'text' as string, found int64", 1),
        (with_column("text", pa.array(["A", "long"])), "'text', found 'long' in row 2", 2),
        (with_column("text", pa.array(["a", None])), "no nulls in column 'text'", 1),
        (with_column("count", pa.array([1, None])), "no nulls in column 'count'", 1),
        (with_column("count", pa.array([1, 1])), "distinct values in column 'count'", 2),
        (with_column("count", pa.array([1.0, 2.0])), "'count' as int64, found float64", 1),
        (with_column("grade", pa.array(["a", "zz"])), "found 'zz' in row 2", 1),
        (with_column("day", pa.array(["2020-01-01", "x"])), "'day' as date", 1),
    ],
)
def test_what_is_wrong_is_said_in_one_line(table: pa.Table, words: str, total: int) -> None:
    error = refused(table, Row)
    assert words in error.error
    assert error.total == total
    assert len(error.cases) == total
    assert set(error.cases[0]) == {"column", "check", "value", "index"} | (
        {"row"} if error.cases[0]["index"] else set()
    )
    assert all(isinstance(value, str) for value in error.cases[0].values())


def test_at_most_a_hundred_cases_are_kept() -> None:
    schema = pan.DataFrameSchema({"x": pan.Column(int, pan.Check.gt(0))})
    error = refused(pd.DataFrame({"x": [-1] * 1000}), schema)
    assert (len(error.cases), error.total) == (100, 1000)
    assert "(1000 failures in all)" in error.error
    lazy = pop.DataFrameSchema({"x": pop.Column(int, pop.Check.gt(0))})
    error = refused(pl.DataFrame({"x": [-1] * 1000}), lazy, "polars")
    assert (len(error.cases), error.total) == (100, 1000)


def test_a_check_that_raises_is_a_failure() -> None:
    schema = pan.DataFrameSchema(
        {"x": pan.Column(int)}, checks=pan.Check(lambda frame: frame["y"] > 0, name="of_y")
    )
    assert "check of_y to run" in refused(pd.DataFrame({"x": [1]}), schema).error


def test_the_wrong_kind_of_frame_is_refused() -> None:
    assert "a pandas frame, found list" in refused([1], Row).error
    assert "found a polars frame" in refused(to_given(TABLE, "polars"), Row).error


def test_the_frame_given_stays_as_it_was() -> None:
    schema = pan.DataFrameSchema({"x": pan.Column(float, coerce=True)}, strict="filter")
    frame = pd.DataFrame({"x": [1], "y": [2]})
    valid = validate(frame, schema, "pandas")
    assert valid.dtypes.astype(str).to_dict() == {"x": "float64"}
    assert frame.dtypes.astype(str).to_dict() == {"x": "int64", "y": "int64"}


def test_defaults_and_parsers_are_run() -> None:
    schema = pan.DataFrameSchema(
        {"x": pan.Column(int, default=7, coerce=True), "y": pan.Column(int, coerce=True)},
        parsers=pan.Parser(lambda frame: frame.assign(y=frame["y"].str.strip())),
    )
    table = pa.table({"x": [1.0, None], "y": ["1 ", " 2"]})
    assert validate(table, schema, "pyarrow").to_pydict() == {"x": [1, 7], "y": [1, 2]}


def test_representations_follow_the_schema() -> None:
    table = pa.table({"x": [1, 2], "s": ["a", "b"]})
    schema = pan.DataFrameSchema({"x": pan.Column("Int64"), "s": pan.Column("category")})
    frame = validate(table, schema, "pandas")
    assert frame.dtypes.astype(str).tolist() == ["Int64", "category"]
    plain = pan.DataFrameSchema({"x": pan.Column("int64"), "s": pan.Column(object)})
    frame = validate(to_table(frame[["x"]]).append_column("s", [["a", "b"]]), plain, "pandas")
    assert frame.dtypes.astype(str).tolist() == ["int64", "object"]


# coercion


def coerced(kind: Any, values: Any, library: str) -> list[Any]:
    if library == "pandas":
        schema: Any = pan.DataFrameSchema({"x": pan.Column(kind, coerce=True, nullable=True)})
        return list(validate(pd.DataFrame({"x": values}), schema, "pandas")["x"].tolist())
    schema = pop.DataFrameSchema({"x": pop.Column(kind, coerce=True, nullable=True)})
    return list(validate(pl.DataFrame({"x": values}), schema, "polars")["x"].to_list())


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (int, [2.0, 1.5]),
        (int, ["7", "007"]),
        (int, ["1", "x"]),
        (float, [1, 2**53 + 1]),
        (float, ["01.5"]),
        (float, ["0.12345678901234567890123"]),
        (bool, ["False"]),
        (bool, [2, 0]),
        ("int8", [1, 300]),
        ("uint64", [1, -1]),
        ("float32", [0.5, 0.1]),
        ("int64", [2.0**63]),
        ("int64", [1e300]),
    ],
)
def test_lossy_coercion_is_an_error(kind: Any, values: list[Any], library: str) -> None:
    if library == "polars" and isinstance(kind, str):
        kind = {"int8": pl.Int8, "uint64": pl.UInt64, "float32": pl.Float32, "int64": pl.Int64}[
            kind
        ]
    with pytest.raises(InvalidData, match="without loss") as caught:
        coerced(kind, values, library)
    assert caught.value.cases[-1] == {
        "column": "x", "check": "coerce", "value": str(values[-1]) if values != [2, 0] else "2",
        "row": str(len(values)) if values != [2, 0] else "1",
        "index": str(len(values) - 1) if values != [2, 0] else "0",
    }  # fmt: skip


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize(
    ("kind", "values", "result"),
    [
        (int, [2.0, 1.0], [2, 1]),
        (int, ["7", "-8"], [7, -8]),
        (float, [2**53], [float(2**53)]),
        (float, ["1.50", "1e3"], [1.5, 1000.0]),
        (str, [1, 2], ["1", "2"]),
        (bool, [1, 0], [True, False]),
        (int, [True, False], [1, 0]),
    ],
)
def test_lossless_coercion(kind: Any, values: Any, result: Any, library: str) -> None:
    assert coerced(kind, values, library) == result


@pytest.mark.parametrize(
    ("kind", "values", "result"),
    [
        ("datetime64[ns]", ["2013-01-01"], [pd.Timestamp("2013-01-01")]),
        ("Int64", [1.0, np.nan], [1, pd.NA]),
        ("category", ["a", "b"], ["a", "b"]),
        (pan.Date, ["2013-01-01"], [dt.date(2013, 1, 1)]),
        (pan.Decimal(10, 2), ["1.50"], [Decimal("1.50")]),
    ],
)
def test_lossless_coercion_in_pandas(kind: Any, values: Any, result: Any) -> None:
    assert coerced(kind, values, "pandas") == result


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("datetime64[ns]", ["01/02/2013"]),
        (pd.CategoricalDtype(["a"]), ["a", "b"]),
        (pan.Decimal(10, 1), ["1.55"]),
        ("Int64", ["007"]),
        (int, [1.0, np.nan]),
    ],
)
def test_lossy_coercion_in_pandas(kind: Any, values: Any) -> None:
    with pytest.raises(InvalidData, match="without loss"):
        coerced(kind, values, "pandas")


def test_coercion_by_the_whole_schema_is_guarded() -> None:
    class Whole(pan.DataFrameModel):
        x: int
        y: float

        class Config:
            coerce = True

    frame = pd.DataFrame({"x": [1.0, 1.5], "y": [1, 2]})
    assert "'x' to become int64" in refused(frame, Whole).error
    frame = pd.DataFrame({"x": [1.5]})
    refused(frame, pan.DataFrameSchema({"x": pan.Column()}, dtype=int, coerce=True))
