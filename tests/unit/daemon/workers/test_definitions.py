from typing import Any

import msgspec
import pandera.pandas as pa
import pytest

from afresh.assets.manifest import Manifest, Retry
from support.defining import FLIGHTS, LINES, Load, only


def test_the_example(loaded: Load) -> None:
    result = loaded(
        FLIGHTS
        + """
@asset(owner="ann", group="delays", tags=["a", "b"], retries=2, timeout="5m")
def delays_by_carrier(flights: DataFrame[Flight]) -> DataFrame[Delay]:
    '''Mean delay.

    More.
    '''
    return flights.groupby("carrier", as_index=False).agg(mean_delay=("dep_delay", "mean"))
"""
    )
    manifest = result.manifest
    assert manifest.problems == ()
    (source,) = manifest.sources
    assert source.captures == ("day",)
    assert source.sensor.kind == "file"
    assert str(source.where) == f"pipeline.py:{LINES + 1}"
    assert manifest.schemas[source.schema].columns[1].nullable
    (function,) = manifest.functions
    assert function.name == "delays_by_carrier"
    (read,) = function.inputs
    assert (read.parameter, read.asset, read.reads, read.given) == (
        "flights",
        "flights",
        "all",
        "pandas",
    )
    (output,) = function.outputs
    assert (output.owner, output.group, output.tags) == ("ann", "delays", ("a", "b"))
    assert output.description == "Mean delay."
    assert manifest.schemas[output.schema].name == "Delay"
    assert function.retry == Retry(attempts=3)
    assert function.timeout_seconds == 300.0
    assert function.on_code_change == "rebuild"
    assert function.where is not None
    assert function.where.line == LINES + 3
    live = result.functions["delays_by_carrier"]
    assert live.callable.__name__ == "delays_by_carrier"
    assert issubclass(live.inputs["flights"], pa.DataFrameModel)
    assert result.sources["flights"].schema.__name__ == "Flight"
    assert "pandas" in manifest.distributions
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(manifest), type=Manifest) == manifest


def test_postponed_annotations(loaded: Load) -> None:
    result = loaded(
        FLIGHTS,
        other="""
        from __future__ import annotations
        from pandera.typing import DataFrame
        from afresh import Context, Partition, asset
        from pipeline import Delay, Flight

        @asset(partitions="flights")
        def daily(flights: DataFrame[Flight], key: Partition, context: Context) -> DataFrame[Delay]:
            return flights
        """,
    )
    assert result.manifest.problems == ()
    (function,) = result.manifest.functions
    assert function.special == {"partition": "key", "context": "context"}
    assert function.partitions == ("flights",)
    assert function.inputs[0].reads == "own"
    assert function.on_code_change == "new_only"


def test_every_kind_of_frame(loaded: Load) -> None:
    result = loaded(
        FLIGHTS
        + """
import polars as pl
import pyarrow
import pandera.polars as pap
import pandera.typing.polars as ptp
from typing import Annotated

class PFlight(pap.DataFrameModel):
    carrier: str

objects = pa.DataFrameSchema({"carrier": pa.Column(str)}, name="objects")

@asset
def a(flights: pd.DataFrame) -> pl.DataFrame: ...
@asset
def b(flights: pl.DataFrame) -> pl.LazyFrame: ...
@asset
def c(flights: pl.LazyFrame) -> pyarrow.Table: ...
@asset
def d(flights: pyarrow.Table) -> ptp.DataFrame[PFlight]: ...
@asset
def e(flights: ptp.LazyFrame[PFlight]) -> Annotated[pd.DataFrame, objects]: ...
@asset
def f(flights: Annotated[pd.DataFrame, objects]) -> pd.DataFrame: ...
"""
    )
    assert result.manifest.problems == ()
    shapes = {f.name: (f.inputs[0].given, f.outputs[0].given) for f in result.manifest.functions}
    assert shapes == {
        "a": ("pandas", "polars"),
        "b": ("polars", "polars_lazy"),
        "c": ("polars_lazy", "pyarrow"),
        "d": ("pyarrow", "polars"),
        "e": ("polars_lazy", "pandas"),
        "f": ("pandas", "pandas"),
    }
    assert result.manifest.functions[4].outputs[0].schema == "objects"


def test_dependencies_by_name_by_object_and_renamed(loaded: Load) -> None:
    result = loaded(
        FLIGHTS
        + """
@asset(name="shop.a")
def a(flights: pd.DataFrame) -> pd.DataFrame: ...
@asset(deps={"x": "shop.a", "y": a, "z": flights})
def b(x: pd.DataFrame, y: pd.DataFrame, z: pd.DataFrame) -> pd.DataFrame: ...
"""
    )
    assert result.manifest.problems == ()
    assert [i.asset for i in result.manifest.functions[1].inputs] == ["shop.a", "shop.a", "flights"]


def test_several_outputs(loaded: Load) -> None:
    result = loaded(
        FLIGHTS
        + """
@asset(outputs={"good": Flight, "bad": None})
def split(flights: DataFrame[Flight]): ...
@asset(outputs=["p", "q"])
def pairs(good: pd.DataFrame) -> tuple[DataFrame[Delay], pd.DataFrame]: ...
@asset(outputs=["r", "s"])
def named(bad: pd.DataFrame) -> dict[str, pd.DataFrame]: ...
"""
    )
    assert result.manifest.problems == ()
    split, pairs, named = result.manifest.functions
    assert [(o.asset, o.given, o.schema) for o in split.outputs] == [
        ("good", "object", "Flight"),
        ("bad", "object", ""),
    ]
    assert split.name == "good"
    assert [(o.given, o.schema) for o in pairs.outputs] == [("pandas", "Delay"), ("pandas", "")]
    assert [o.given for o in named.outputs] == ["pandas", "pandas"]
    assert result.functions["p"].outputs["p"].__name__ == "Delay"


def test_columns(loaded: Load) -> None:
    result = loaded(
        FLIGHTS
        + """
class Few(pa.DataFrameModel):
    carrier: str
    class Config:
        strict = "filter"

@asset
def by_schema(flights: DataFrame[Few]) -> pd.DataFrame: ...
@asset(columns={"flights": ["dep_delay"]})
def by_list(flights: pd.DataFrame) -> pd.DataFrame: ...
"""
    )
    assert result.manifest.problems == ()
    assert [f.inputs[0].columns for f in result.manifest.functions] == [
        ("carrier",),
        ("dep_delay",),
    ]


def test_parameters(loaded: Load) -> None:
    code = (
        FLIGHTS
        + """
import pydantic

class Options(pydantic.BaseModel):
    limit: int = 3

@asset(volatile="note")
def a(flights: pd.DataFrame, options: Options = Options(), note: str = "é", n: float = 1
) -> pd.DataFrame: ...
"""
    )
    result = loaded(code, parameters={"a": {"options": {"limit": "7"}, "n": 2}})
    assert result.manifest.problems == ()
    (function,) = result.manifest.functions
    assert function.parameters == {"options": '{"limit":7}', "note": '"é"', "n": "2.0"}
    assert function.volatile == ("note",)
    live = result.functions["a"]
    assert live.parameters["options"].limit == 7
    assert loaded(code).functions["a"].parameters["n"] == 1.0


@pytest.mark.parametrize(
    ("table", "error", "hint"),
    [
        (
            {"n": "x"},
            "to fit its annotation, found Input should be a valid integer",
            "[parameters.a]",
        ),
        ({}, "Expected a value for parameter 'n'", "give a default"),
        ({"n": 1, "m": 2}, "found 'm'", "did you mean 'mm'?"),
    ],
)
def test_wrong_parameters(loaded: Load, table: dict[str, Any], error: str, hint: str) -> None:
    code = (
        FLIGHTS + "@asset\ndef a(flights: pd.DataFrame, n: int, mm: int = 1) -> pd.DataFrame: ...\n"
    )
    found = only(loaded(code, parameters={"a": table}))
    assert error in found[0]
    assert hint in found[1]
    assert found[2] == 2


def test_parameters_of_nothing(loaded: Load) -> None:
    code = FLIGHTS + "@asset\ndef delays(flights: pd.DataFrame, n: int = 1) -> pd.DataFrame: ...\n"
    result = loaded(code, parameters={"delay": {}}, toml="\n[parameters.delay]\n")
    (problem,) = result.manifest.problems
    assert problem.hint == "did you mean 'delays'?"
    assert str(problem.where) == "afresh.toml:2"


def test_key_columns_count_as_promised(loaded: Load) -> None:
    result = loaded(
        """
source("flights", files("landing/{day}.csv"), schema=Flight, key_columns=True)
class Wider(Flight):
    day: str
@asset
def a(flights: DataFrame[Wider]) -> pd.DataFrame: ...
"""
    )
    assert result.manifest.problems == ()


def test_a_format_is_not_asked_of_open_names(loaded: Load) -> None:
    assert loaded("source('x', files('in/{name}'))").manifest.problems == ()


def test_schemas_of_one_name_are_kept_apart(loaded: Load) -> None:
    other = """
    import pandas as pd
    import pandera.pandas as pa
    from pandera.typing import DataFrame
    from afresh import asset
    class Flight(pa.DataFrameModel):
        other: int
    @asset
    def a() -> DataFrame[Flight]: ...
    """
    manifest = loaded(FLIGHTS, other=other).manifest
    assert manifest.problems == ()
    keys = {manifest.sources[0].schema, manifest.functions[0].outputs[0].schema}
    assert len(keys) == 2
    assert keys <= set(manifest.schemas)


def test_the_key_of_a_source_is_of_how_it_is_read(loaded: Load) -> None:
    def key(options: str) -> str:
        return loaded(f"source('x', files('x.csv'{options}))").manifest.sources[0].code_key

    assert key("") == key(", settle=3")
    assert key("") != key(", options={'delimiter': ';'}")
    assert key("") != key(", format='jsonl'")


def test_sensors_that_others_call_and_that_users_write_are_declared(loaded: Load) -> None:
    result = loaded("""
        from afresh.sensors import custom, env, upstream, webhook

        async def numbers(cursor):
            yield [], cursor

        calls = source("calls", webhook("/hooks/x", secret=env("X")), schema=Flight)
        own = source("own", custom(numbers, start=0))
        other = source("other", upstream("webhook:/hooks/y", asset="a.b", partitions="day"))
    """)
    assert result.manifest.problems == ()
    by_name = {source.name: source for source in result.manifest.sources}
    assert by_name["calls"].stream
    assert by_name["own"].sensor.options["name"] == "numbers"
    assert not by_name["other"].stream
    assert by_name["other"].captures == ("day",)


def test_another_daemons_asset_is_not_kept_as_a_reference(loaded: Load) -> None:
    result = loaded("""
        from afresh.sensors import bucket, upstream

        a = source("a", upstream("kafka://127.0.0.1:9092/versions", asset="a"), keep="reference")
        b = source("b", bucket("s3://lake/{k}.csv"), keep="reference")
    """)
    (problem,) = result.manifest.problems
    assert "Expected keep='data' of another daemon's asset" in problem.error
    assert problem.asset == "a"


def test_each_webhook_has_a_path_of_its_own(loaded: Load) -> None:
    result = loaded("""
        from afresh.sensors import upstream, webhook

        a = source("a", webhook("/hooks/x"))
        b = source("b", upstream("webhook:/hooks/x", asset="a"))
    """)
    (problem,) = result.manifest.problems
    assert "'/hooks/x', which is that of 'a'" in problem.error
    assert problem.asset == "b"
