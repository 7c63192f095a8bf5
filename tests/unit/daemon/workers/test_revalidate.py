"""Verdicts on stored data, in this very process."""

from pathlib import Path
from typing import Any

import pandera.pandas as pan
import pyarrow as pa
import pytest

from afresh.assets.manifest import Output
from afresh.daemon.workers.task import Part, Result, TaskInput, Verdict
from support import executing
from support.executing import World, rows


def validated(world: World, asset: str, *parts: Part) -> Result:
    return world.execute(asset, TaskInput("", asset, parts), kind="validate")


def verdict(world: World, table: pa.Table, asset: str = "rows") -> Verdict:
    result = validated(world, asset, world.part(table))
    assert result.failed is None, result.failed
    (found,) = result.verdicts
    return found


GOOD = rows(name=["a", "b"], value=[0.0, 1.0])
BAD = rows(name=["a", "b"], value=[0.0, -1.0])


def test_each_part_has_its_own_in_order(world: World) -> None:
    parts = [world.part(table) for table in (GOOD, BAD, GOOD)]
    result = validated(world, "rows", *parts)
    assert [each.state for each in result.verdicts] == ["ok", "suspect", "ok"]
    bad = result.verdicts[1]
    assert "-1.0" in bad.error
    assert bad.total == 1
    assert bad.cases[0]["column"] == "value"
    assert {each.schema_version for each in result.verdicts} == {
        world.loaded().manifest.schemas["Row"].version
    }
    assert result.outputs == ()
    assert not (world.root / "artifacts").exists(), "nothing is written"


def test_an_output_is_held_against_its_own_schema(world: World) -> None:
    outputs = (Output("made", "pandas", schema="Row"), Output("other", "pandas", schema="Tight"))
    world.function(lambda: None, outputs=outputs)
    table = rows(name=["a"], value=[5.0])
    assert verdict(world, table, "made").state == "ok"
    assert verdict(world, table, "other").state == "suspect"


def test_what_a_schema_does_to_data_is_done_before_it_judges(world: World) -> None:
    world.source("coerced", "Coerced")
    assert verdict(world, rows(value=[1.0], other=["x"]), "coerced").state == "ok"
    assert verdict(world, rows(value=[1.5]), "coerced").state == "suspect"


def test_what_is_damaged_or_gone_says_nothing_of_the_schema(world: World) -> None:
    gone, damaged, good = (world.part(GOOD) for _ in range(3))
    Path(gone.uri).unlink()
    path = Path(damaged.uri)
    path.write_bytes(path.read_bytes()[:-8])
    result = validated(world, "rows", gone, damaged, good)
    assert [each.state for each in result.verdicts] == ["unread", "unread", "ok"]
    assert gone.uri in result.verdicts[0].error


def test_a_parser_that_raises_is_the_schemas_verdict(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(series: Any) -> Any:
        raise RuntimeError(f"no such {series.name}")

    parsed = pan.DataFrameSchema({"name": pan.Column(str, parsers=pan.Parser(refuse))}, name="P")
    monkeypatch.setitem(executing.SCHEMAS, "P", parsed)
    world.source("parsed", "P")
    found = verdict(world, GOOD, "parsed")
    assert found.state == "suspect"
    assert "no such name" in found.error


def test_a_schema_that_is_not_loaded_is_no_verdict(world: World) -> None:
    world.source("plain")
    for asset in ("plain", "nobody"):
        result = validated(world, asset, world.part(GOOD))
        assert result.failed is not None
        assert result.failed.kind == "internal"
        assert asset in result.failed.error
