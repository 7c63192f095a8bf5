"""Tasks in this very process: what is asked of data and code, without the plumbing."""

import os
import sys
from typing import Any

import msgspec
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from afresh.assets.context import Context, Partition
from afresh.assets.frames import to_table
from afresh.assets.manifest import Input, Output
from afresh.assets.schema import validate
from afresh.daemon.workers.task import TaskInput
from afresh.storage.artifacts.store import read_table
from afresh.storage.content import hash_table
from support.executing import Seen, World, own, rejected, rows, written


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

    def test_what_a_function_says_of_its_version_is_kept_as_text(self, world: World) -> None:
        def body(context: Context) -> Any:
            context.metadata["rows"] = 2  # type: ignore[assignment]
            context.metadata["note"] = "x"
            return pd.DataFrame({"a": [1]})

        world.function(body, special={"context": "context"})
        assert written(world.execute()).metadata == {"rows": "2", "note": "x"}

    def test_a_file_whose_name_is_no_text_costs_no_run(self, world: World) -> None:
        def body() -> Any:
            for name in (b"\xff.csv", b"fine.csv"):
                (world.root / os.fsdecode(name)).write_text("x")
            return pd.DataFrame({"a": [1]})

        world.function(body)
        result = world.execute()
        written(result)
        assert [path for path in result.wrote if path.endswith(".csv")] == [
            str(world.root / "fine.csv")
        ]

    def test_a_function_whose_module_did_not_import(self, world: World) -> None:
        failed = world.execute("absent").failed
        assert failed is not None
        assert failed.hint == "`afresh check` says why"


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
