"""Data that is unlike what anybody declared."""

from decimal import Decimal
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from afresh.assets.manifest import Output, Where
from afresh.daemon.workers.task import Part, TaskInput
from afresh.storage.artifacts.store import read_table
from support.executing import Seen, World, own, rejected, written

NAMES = [f"c{place}" for place in range(2_000)]


class TestOddData:
    """What is legal comes back as it was, what is not is refused by its column."""

    @pytest.mark.parametrize(
        "column",
        [
            pd.Series([[1], [2, 3]]),
            pd.Series([{"x": 2**53 + 1}, {"y": 2}]),
            pd.Series([Decimal("1.50"), None]),
            pd.Series([b"\0\xff", None]),
            pd.Series(["x" * 10**6, ""]),
            pd.Series([None, None]),
            pd.to_datetime(pd.Series(["2024-03-31 12:00", None])).dt.tz_localize("Europe/Berlin"),
            pd.to_timedelta(pd.Series(["1s", None])),
            pd.Series(pd.Categorical(["b", None], categories=["b", "a"])),
            pd.Series(pd.cut(pd.Series([1, 2]), 2)),
            pd.Series(["x", None], dtype=object),
            pd.Series([1, None], dtype="Int8"),
            pd.Series([True, None], dtype=object),
        ],
        ids=lambda series: str(series.dtype) + str(series.iloc[0])[:9],
    )
    def test_pandas_comes_back(self, world: World, column: Any) -> None:
        frame = pd.DataFrame({"a.b c\nd\u202eé": column, "": column})
        world.function(lambda: frame)
        made = written(world.execute())
        seen = []

        def body(rows: Any) -> Any:
            seen.append(rows)
            return rows

        world.function(body, own())
        part = Part("", 1, made.uri, made.hash, made.rows)
        again = written(world.execute("made", TaskInput("rows", "rows", (part,))))
        assert again.fingerprint == made.fingerprint
        assert list(seen[0].columns) == list(frame.columns)
        given = seen[0].iloc[:, 0]
        assert given.dtype == column.dtype
        if column.iloc[0] != {"x": 2**53 + 1}:
            pd.testing.assert_series_equal(given, column, check_names=False)
        else:
            assert given[0]["x"] == 2**53 + 1

    @pytest.mark.parametrize(
        "column",
        [
            pl.Series("", [[1], None]),
            pl.Series("", ["b", "a"], pl.Categorical),
            pl.Series("", ["b", None], pl.Enum(["b", "a"])),
            pl.Series("", [[1, 2]], pl.Array(pl.Int8, 2)),
            pl.Series("", [Decimal("1.5")]),
            pl.Series("", [None]),
        ],
        ids=lambda series: str(series.dtype),
    )
    def test_polars_comes_back(self, world: World, column: pl.Series) -> None:
        frame = pl.DataFrame([column])
        world.function(lambda: frame, outputs=(Output("made", "polars"),))
        made = written(world.execute())
        seen = Seen()
        world.function(seen, own("polars"))
        part = Part("", 1, made.uri, made.hash, made.rows)
        world.execute("made", TaskInput("rows", "rows", (part,)))
        assert seen.rows.equals(frame, null_equal=True)
        assert seen.rows.schema == frame.schema

    @pytest.mark.parametrize(
        ("given", "value", "words"),
        [
            ("pandas", (x for x in "a"), "Expected a pandas.DataFrame, found builtins.generator"),
            ("pandas", pd.Series([1]), "Expected a pandas.DataFrame, found pandas.Series"),
            ("pandas", pl.LazyFrame({"a": [1]}), "Expected a pandas.DataFrame, found polars."),
            ("pandas", pd.DataFrame([[1, 2]], columns=["a", "a"]), "found 'a' 2 times"),
            ("pandas", pd.DataFrame({"a": [1]}, index=["x"]), "Expected an index of row num"),
            ("pandas", pd.DataFrame({"a": [1, "x"]}), "one type in column 'a', found int, str"),
            ("pandas", pd.DataFrame({"a": [{1}]}), "found set in 'a'"),
            ("pandas", pd.DataFrame({"a": [{}]}), "column 'a', found struct<>"),
            ("pandas", pd.DataFrame({"a": [1j]}), "found complex128 in 'a'"),
            ("pandas", pd.DataFrame([[1]], columns=pd.Index(["\udc80"], dtype=object)), "\\udc80"),
            ("pandas", pd.DataFrame(index=range(3)), "Expected columns, found 3 rows"),
            ("polars", pl.DataFrame({"a": [[1]]}, {"a": pl.List(pl.Int128)}), "'a': List(Int128)"),
            ("pyarrow", pa.table([[1], [2]], names=["a", "a"]), "found 'a' 2 times"),
            ("pyarrow", pa.table({"a": pa.array([[]], pa.list_(pa.int8(), 0))}), "column 'a'"),
            ("pyarrow", pa.record_batch({"a": [1]}), "Expected a pyarrow.Table, found"),
        ],
    )
    def test_what_cannot_be_kept_is_rejected_with_the_column(
        self, world: World, given: Any, value: Any, words: str
    ) -> None:
        world.function(lambda: value, outputs=(Output("made", given),))
        result = world.execute()
        assert result.failed is None
        assert words in rejected(result).error
        assert not list(world.root.glob("artifacts/*"))

    @pytest.mark.parametrize(
        "frame", [pd.DataFrame(), pd.DataFrame({"a": []}), pd.DataFrame([NAMES], columns=NAMES)]
    )
    def test_few_rows_and_many_columns(self, world: World, frame: Any) -> None:
        world.function(lambda: frame)
        made = written(world.execute())
        assert (made.rows, list(made.columns)) == (len(frame), list(frame.columns))
        assert read_table(made.uri).column_names == list(frame.columns)

    def test_the_function_is_named(self, world: World) -> None:
        def body() -> None:
            return None

        world.function(body, where=Where("pipeline.py", 7))
        output = rejected(world.execute())
        assert output.asset == "made"
        assert output.hint.endswith("(returned by body(), pipeline.py:7)")

    @pytest.mark.parametrize("value", [{"x": 1}, {}])
    def test_a_dict_that_is_not_of_the_output(self, world: World, value: Any) -> None:
        world.function(lambda: value)
        failed = world.execute().failed
        assert failed is not None
        assert failed.error.startswith("Expected a frame for 'made', found a dict with ")

    def test_what_polars_cannot_hold_is_named(self, world: World) -> None:
        world.function(lambda rows: rows, own("polars"))
        column = pa.array([Decimal("1.5")], pa.decimal256(70, 2))
        part = world.part(pa.table({"a": column}))
        failed = world.execute("made", TaskInput("rows", "rows", (part,))).failed
        assert failed is not None
        assert failed.kind == "raised"
        assert "found 'a': decimal256(70, 2)" in failed.error
