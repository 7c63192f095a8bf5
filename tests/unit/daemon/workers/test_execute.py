"""Tasks in this very process: what is asked of data and code, without the plumbing."""

import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pandera.pandas as pa_pandas
import polars as pl
import pyarrow as pa
import pytest

from afresh.assets.declare import Context, Partition
from afresh.assets.errors import ChangedData
from afresh.assets.frames import to_table
from afresh.assets.manifest import Function, Input, Manifest, Output, Sensor, Source, Where
from afresh.assets.schema import describe, validate
from afresh.daemon.workers.execute import execute
from afresh.daemon.workers.live import LiveFunction, LiveSource, Loaded
from afresh.daemon.workers.task import Part, Rejected, Result, Target, Task, TaskInput, Written
from afresh.daemon.workers.wire import Plan
from afresh.storage.artifacts.store import read_table, write_table
from afresh.storage.content import hash_table
from afresh.storage.formats.source_file import read_source

ROW = pa_pandas.DataFrameSchema(
    {"name": pa_pandas.Column(str), "value": pa_pandas.Column(float, pa_pandas.Check.ge(0))},
    name="Row",
)
NARROW = pa_pandas.DataFrameSchema({"name": pa_pandas.Column(str)}, strict="filter", name="Narrow")
TIGHT = pa_pandas.DataFrameSchema(
    {"value": pa_pandas.Column(float, pa_pandas.Check.lt(2))}, name="Tight"
)
KINDS = pa_pandas.DataFrameSchema({"kind": pa_pandas.Column("category")}, name="Kinds")
COERCED = pa_pandas.DataFrameSchema(
    {"value": pa_pandas.Column(int, coerce=True, parsers=pa_pandas.Parser(abs))},
    strict="filter",
    name="Coerced",
)
SCHEMAS = {"Row": ROW, "Narrow": NARROW, "Tight": TIGHT, "Kinds": KINDS, "Coerced": COERCED}
NAMES = [f"c{place}" for place in range(2_000)]


class Seen:
    """A function that keeps what it is given."""

    def __init__(self) -> None:
        self.rows: Any = None

    def __call__(self, rows: Any) -> None:
        self.rows = rows


class World:
    """A generation made by hand, and a folder for what it writes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.functions: dict[str, LiveFunction] = {}
        self.sources: dict[str, LiveSource] = {}
        self.runs = 0
        self.source("rows", "Row")

    def source(self, name: str, schema: str = "", **more: Any) -> None:
        sensor = Sensor("file", {"pattern": "landing/{day}/{region}.csv"})
        declared = Source(name, sensor, ("day", "region"), schema, "csv", **more)
        self.sources[name] = LiveSource(declared, SCHEMAS.get(schema))

    def function(
        self,
        body: Callable[..., Any],
        *inputs: Input,
        outputs: tuple[Output, ...] = (Output("made", "pandas"),),
        parameters: dict[str, Any] | None = None,
        **more: Any,
    ) -> None:
        declared = Function(outputs[0].asset, inputs, outputs, "key", **more)
        self.functions[declared.name] = LiveFunction(
            declared,
            body,
            {item.parameter: SCHEMAS.get(item.schema) for item in inputs},
            {item.asset: SCHEMAS.get(item.schema) for item in outputs},
            parameters or {},
        )

    def loaded(self) -> Loaded:
        manifest = Manifest(
            "digest",
            tuple(live.declaration for live in self.sources.values()),
            tuple(live.declaration for live in self.functions.values()),
            {name: describe(schema) for name, schema in SCHEMAS.items()},
        )
        return Loaded(manifest, self.functions, self.sources)

    def execute(self, name: str = "made", *inputs: TaskInput, **more: Any) -> Result:
        self.runs += 1
        assets = [name]
        if name in self.functions:
            assets = [output.asset for output in self.functions[name].declaration.outputs]
        folder = f"{self.root}/artifacts"
        targets = tuple(Target(a, f"{folder}/{self.runs}-{a}.parquet") for a in assets)
        kind: Any = "ingest" if "path" in more else "run"
        partition = more.pop("partition", "")
        task = Task(f"run{self.runs}", kind, name, partition, 2, targets, inputs, **more)
        root = str(self.root)
        plan = Plan("digest", root, (), "{}", root, f"{root}/.afresh", 0)
        return execute(task, self.loaded(), plan)[0]

    def part(self, table: pa.Table, partition: str = "", version: int = 1) -> Part:
        self.runs += 1
        stored = write_table(table, f"{self.root}/parts/{self.runs}.parquet")
        return Part(partition, version, stored.uri, stored.hash, table.num_rows)

    def landed(self, text: str) -> str:
        path = self.root / "landing" / "2024" / "eu.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def written(result: Result, place: int = 0) -> Written:
    assert result.failed is None, result.failed
    output = result.outputs[place]
    assert isinstance(output, Written), output
    return output


def rejected(result: Result, place: int = 0) -> Rejected:
    output = result.outputs[place]
    assert isinstance(output, Rejected), output
    return output


def rows(**columns: Any) -> pa.Table:
    return to_table(pd.DataFrame(columns))


def own(given: str = "pandas", schema: str = "", columns: tuple[str, ...] = ()) -> Input:
    return Input("rows", "rows", "own", given, columns, schema)  # type: ignore[arg-type]


class TestIngest:
    def test_text_is_read_by_the_types_of_the_schema(self, world: World) -> None:
        path = world.landed("name,value\n007,1\nNA,2.5\n")
        result = world.execute("rows", path=path, partition="2024,eu")
        output = written(result)
        table = read_table(output.uri, verify_hash=output.hash)
        assert table.to_pylist() == [{"name": "007", "value": 1.0}, {"name": "NA", "value": 2.5}]
        content = hash_table(table)
        assert (output.fingerprint, output.columns) == (content.fingerprint, content.columns)
        assert (output.rows, output.bytes) == (2, Path(output.uri).stat().st_size)
        assert output.schema_version == describe(ROW).version
        assert result.source_hash
        assert result.identity is not None
        assert result.identity.inode == Path(path).stat().st_ino

    def test_captures_become_columns_of_strings(self, world: World) -> None:
        world.source("rows", key_columns=True)
        path = world.landed("name,day\na,1\nb,2\n")
        output = written(world.execute("rows", path=path, partition="20%2C24,eu"))
        assert read_table(output.uri).to_pylist() == [
            {"name": "a", "day": "20,24", "region": "eu"},
            {"name": "b", "day": "20,24", "region": "eu"},
        ]

    def test_content_that_is_known_is_not_written(self, world: World) -> None:
        path = world.landed("name,value\na,1\n")
        first = written(world.execute("rows", path=path, partition="2024,eu"))
        known = {"rows": first.fingerprint}
        again = written(world.execute("rows", path=path, partition="2024,eu", known=known))
        assert (again.uri, again.bytes, again.columns) == ("", 0, first.columns)
        assert len(list((world.root / "artifacts").iterdir())) == 1

    def test_what_breaks_the_schema_is_kept_aside(self, world: World) -> None:
        path = world.landed("name,value\na,1\nb,-5\n")
        result = world.execute("rows", path=path, partition="2024,eu")
        output = rejected(result)
        assert [case["value"] for case in output.cases] == ["-5.0"]
        assert output.total == 1
        assert read_table(output.uri).num_rows == 2
        assert not (world.root / "artifacts").exists()
        assert result.identity is not None

    def test_a_file_that_is_gone(self, world: World) -> None:
        result = world.execute("rows", path=str(world.root / "gone.csv"), partition="2024,eu")
        assert result.failed is not None
        assert result.failed.kind == "vanished"

    def test_a_file_that_is_not_of_its_format(self, world: World) -> None:
        result = world.execute("rows", path=world.landed("name,value\na\n"), partition="2024,eu")
        assert result.failed is not None
        assert result.failed.kind == "unreadable"

    @pytest.mark.parametrize(
        "dtype", ["complex128", "period[M]", pd.ArrowDtype(pa.list_(pa.int8()))]
    )
    def test_a_type_that_no_text_has(
        self, world: World, monkeypatch: pytest.MonkeyPatch, dtype: Any
    ) -> None:
        odd = pa_pandas.DataFrameSchema({"a": pa_pandas.Column(dtype)}, name="Odd")
        monkeypatch.setitem(SCHEMAS, "Odd", odd)
        world.source("rows", "Odd")
        failed = world.execute("rows", path=world.landed("a\n1\n")).failed
        assert failed is not None
        assert failed.kind == "unreadable"
        assert failed.where.endswith("eu.csv")
        assert failed.hint == "declare the column as text and convert it in an asset"

    @pytest.mark.parametrize(("times", "kind"), [(2, None), (3, "changed")])
    def test_a_file_that_is_replaced_is_read_again(
        self, world: World, monkeypatch: pytest.MonkeyPatch, times: int, kind: str | None
    ) -> None:
        left = [ChangedData("replaced")] * times
        real = read_source

        def unsteady(*args: Any, **kwargs: Any) -> Any:
            if left:
                raise left.pop()
            return real(*args, **kwargs)

        monkeypatch.setattr("afresh.daemon.workers.originals.read_source", unsteady)
        path = world.landed("name,value\na,1\n")
        result = world.execute("rows", path=path, partition="2024,eu")
        assert (result.failed.kind if result.failed else None) == kind

    def test_a_source_whose_module_did_not_import(self, world: World) -> None:
        result = world.execute("absent", path=world.landed("a\n1\n"))
        assert result.failed is not None
        assert (result.failed.kind, "did not import" in result.failed.error) == ("internal", True)


class TestRun:
    def test_a_function_is_given_all_that_it_asks_for(self, world: World) -> None:
        seen: dict[str, Any] = {}

        def body(rows: Any, factor: int, key: Partition, context: Context) -> Any:
            seen.update(factor=factor, key=key, context=context)
            context.add_metadata(n=len(rows), note="x")
            return rows.assign(value=rows.value * factor)

        world.function(
            body,
            own(schema="Row"),
            parameters={"factor": 3},
            partitions=("rows",),
            special={"partition": "key", "context": "context"},
        )
        part = world.part(rows(name=["a"], value=[2.0]), "2024,eu")
        result = world.execute(
            "made", TaskInput("rows", "rows", (part,)), partition="2024,eu", events=(7, 8)
        )
        output = written(result)
        assert read_table(output.uri).to_pylist() == [{"name": "a", "value": 6.0}]
        assert output.metadata == {"n": "1", "note": "x"}
        assert seen["key"].named == {"day": "2024", "region": "eu"}
        assert (seen["context"].run, seen["context"].events) == ("run2", (7, 8))
        assert seen["context"].attempt == 2

    @pytest.mark.parametrize(
        ("given", "kind"),
        [
            ("pandas", pd.DataFrame),
            ("polars", pl.DataFrame),
            ("polars_lazy", pl.LazyFrame),
            ("pyarrow", pa.Table),
        ],
    )
    def test_frames_come_and_go_in_the_shape_that_is_asked_for(
        self, world: World, given: Any, kind: type
    ) -> None:
        def body(rows: Any) -> Any:
            assert isinstance(rows, kind)
            return rows

        world.function(body, own(given, "Row"), outputs=(Output("made", given),))
        table = rows(name=["a", "b"], value=[1.0, 2.0])
        output = written(world.execute("made", TaskInput("rows", "rows", (world.part(table),))))
        assert output.fingerprint == hash_table(table).fingerprint

    def test_all_partitions_are_given_in_their_order(self, world: World) -> None:
        def body(rows: Any) -> Any:
            assert list(rows.index) == [0, 1, 2]
            return rows

        world.function(body, Input("rows", "rows", "all", "pandas"))
        parts = (
            world.part(rows(name=["b"], value=[1.0]), "1"),
            world.part(rows(name=["a", "c"], value=[None, 2.0]), "2"),
        )
        output = written(world.execute("made", TaskInput("rows", "rows", parts)))
        assert read_table(output.uri)["name"].to_pylist() == ["b", "a", "c"]

    def test_partitions_with_other_categories_are_given_as_plain_values(self, world: World) -> None:
        world.function(lambda rows: rows, Input("rows", "rows", "all", "pandas"))
        parts = tuple(
            world.part(to_table(pd.DataFrame({"c": pd.Categorical([v])})), v) for v in "ab"
        )
        output = written(world.execute("made", TaskInput("rows", "rows", parts)))
        assert read_table(output.uri)["c"].to_pylist() == ["a", "b"]

    def test_partitions_that_do_not_fit_together_are_both_named(self, world: World) -> None:
        world.function(lambda rows: rows, Input("rows", "rows", "all", "pandas"))
        parts = (
            world.part(rows(value=[1]), "1", 4),
            world.part(rows(value=["x"]), "2", 5),
        )
        failed = world.execute("made", TaskInput("rows", "rows", parts)).failed
        assert failed is not None
        assert "rows[1]@4" in failed.error
        assert "rows[2]@5" in failed.error

    def test_only_the_columns_that_are_read_are_given(self, world: World) -> None:
        def body(rows: Any) -> Any:
            assert list(rows.columns) == ["name"]
            return rows

        part = world.part(rows(name=["a"], value=[2.0]))
        given = TaskInput("rows", "rows", (part,))
        world.function(body, own("pandas", "Narrow", ("name",)))
        written(world.execute("made", given))
        world.function(body, own("pandas", "", ("name",)))
        written(world.execute("made", given))

    def test_an_input_is_held_against_a_schema_that_is_not_its_producers(
        self, world: World
    ) -> None:
        world.function(lambda rows: rows, own("pandas", "Tight"))
        part = world.part(rows(name=["a"], value=[2.0]))
        failed = world.execute("made", TaskInput("rows", "rows", (part,))).failed
        assert failed is not None
        assert failed.error.startswith("input 'rows': Expected")

    def test_an_artifact_that_is_damaged_is_not_read(self, world: World) -> None:
        world.function(lambda rows: rows, own())
        part = world.part(rows(name=["a"], value=[2.0]))
        wrong = msgspec.structs.replace(part, hash="0" * 64)
        failed = world.execute("made", TaskInput("rows", "rows", (wrong,))).failed
        assert failed is not None
        assert failed.kind == "internal"

    @pytest.mark.parametrize("value", [None, 5, pl.DataFrame({"a": [1]}), [1]])
    def test_what_is_not_the_frame_that_was_announced_is_rejected(
        self, world: World, value: Any
    ) -> None:
        world.function(lambda: value)
        output = rejected(world.execute())
        assert output.error.startswith("Expected a pandas.DataFrame, found")

    def test_outputs_are_judged_each_on_its_own(self, world: World) -> None:
        outputs = (Output("one", "pandas", "Row"), Output("two", "pandas", "Row"))
        good = pd.DataFrame({"name": ["a"], "value": [1.0]})
        bad = pd.DataFrame({"name": ["a"], "value": [-1.0]})
        world.function(lambda: {"two": bad, "one": good}, outputs=outputs)
        result = world.execute("one")
        assert written(result).asset == "one"
        assert rejected(result, 1).asset == "two"
        world.function(lambda: (good, bad), outputs=outputs)
        result = world.execute("one")
        assert written(result).asset == "one"
        assert rejected(result, 1).asset == "two"

    def test_outputs_without_an_annotation_are_validated_as_what_they_are(
        self, world: World
    ) -> None:
        outputs = (Output("one", "object", "Row"), Output("two", "object", "Row"))
        good = {"name": ["a"], "value": [1.0]}
        for frame in (pd.DataFrame(good), pa.table(good), pl.DataFrame(good)):
            world.function(lambda frame=frame: (frame, 7), outputs=outputs)
            result = world.execute("one")
            assert written(result).asset == "one"
            assert rejected(result, 1).error == "Expected a frame, found builtins.int"

    @pytest.mark.parametrize(
        ("value", "words"),
        [
            ((1, 2, 3), "found 3 values"),
            ({"one": 1}, "found a dict with one"),
            (None, "found NoneType"),
        ],
    )
    def test_too_many_or_too_few_outputs_fail(self, world: World, value: Any, words: str) -> None:
        world.function(lambda: value, outputs=(Output("one", "pandas"), Output("two", "pandas")))
        failed = world.execute("one").failed
        assert failed is not None
        assert words in failed.error

    def test_what_user_code_raises_is_in_the_result(self, world: World) -> None:
        def body() -> None:
            sys.exit(4)

        world.function(body)
        failed = world.execute().failed
        assert failed is not None
        assert failed.kind == "exited"

    def test_a_function_whose_module_did_not_import(self, world: World) -> None:
        failed = world.execute("absent").failed
        assert failed is not None
        assert failed.hint == "`afresh check` says why"


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


class TestPartitionsTogether:
    @pytest.mark.parametrize(
        "columns",
        [
            (pa.array(["x"]), pa.array(["y"], pa.large_string())),
            (pa.array([["x"]]), pa.array([["y"]], pa.large_list(pa.large_string()))),
            (pa.array([[]], pa.list_(pa.null())), pa.array([["y"]])),
            (pa.nulls(1), pa.array(["y"])),
        ],
    )
    def test_encodings_fit_together(self, world: World, columns: Any) -> None:
        world.function(
            lambda rows: rows,
            Input("rows", "rows", "all", "pyarrow"),
            outputs=(Output("made", "pyarrow"),),
        )
        parts = tuple(world.part(pa.table({"a": c}), str(i)) for i, c in enumerate(columns))
        made = written(world.execute("made", TaskInput("rows", "rows", parts)))
        expected = [value for column in columns for value in column.to_pylist()]
        assert read_table(made.uri)["a"].to_pylist() == expected

    def test_integers_of_other_widths_do_not(self, world: World) -> None:
        world.function(lambda rows: rows, Input("rows", "rows", "all", "pandas"))
        kinds = (pa.null(), pa.int64(), pa.int32())
        parts = tuple(world.part(pa.table({"a": pa.nulls(1, k)}), str(k)) for k in kinds)
        failed = world.execute("made", TaskInput("rows", "rows", parts)).failed
        assert failed is not None
        assert "int64 in rows[int64]@1 and as int32 in rows[int32]@1" in failed.error

    def test_categories_of_a_schema_are_those_of_all(self, world: World) -> None:
        world.source("rows", "Kinds")
        seen = Seen()
        world.function(seen, Input("rows", "rows", "all", "pandas", (), "Kinds"))
        parts = tuple(
            world.part(to_table(pd.DataFrame({"kind": pd.Categorical([v])})), v) for v in "ba"
        )
        world.execute("made", TaskInput("rows", "rows", parts))
        assert seen.rows["kind"].tolist() == ["b", "a"]
        assert seen.rows["kind"].cat.categories.tolist() == ["a", "b"]


class TestInputSchemas:
    def test_the_producers_own_schema_is_not_validated_again(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls = []
        real = validate

        def counted(*args: Any) -> Any:
            calls.append(args)
            return real(*args)

        monkeypatch.setattr("afresh.daemon.workers.inputs.validate", counted)
        part = world.part(rows(name=["a"], value=[1.0]))
        for schema, times in (("Row", 0), ("Tight", 1), ("", 1)):
            world.function(lambda rows: rows, own("pandas", schema))
            written(world.execute("made", TaskInput("rows", "rows", (part,))))
            assert len(calls) == times

    def test_coercion_parsers_and_filter_of_the_consumer_apply(self, world: World) -> None:
        seen = Seen()
        world.function(seen, own("polars", "Coerced", ("value",)))
        part = world.part(rows(name=["a"], value=[-2.0]))
        world.execute("made", TaskInput("rows", "rows", (part,)))
        assert seen.rows.to_dicts() == [{"value": 2}]
        part = world.part(rows(name=["a"], value=[1.5]))
        failed = world.execute("made", TaskInput("rows", "rows", (part,))).failed
        assert failed is not None
        assert "without loss" in failed.error
