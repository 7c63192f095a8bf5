"""Tasks in this very process: what is asked of data and code, without the plumbing."""

import sys
from collections.abc import Callable
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
from afresh.assets.manifest import Function, Input, Manifest, Output, Sensor, Source
from afresh.assets.schema import describe
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
SCHEMAS = {"Row": ROW, "Narrow": NARROW, "Tight": TIGHT}


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

        monkeypatch.setattr("afresh.daemon.workers.ingest.read_source", unsteady)
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
