import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pandera.pandas as pa
import pytest

from afresh.assets.manifest import Manifest, Retry
from afresh.daemon.workers.definitions import Loaded, load

HEAD = """
import pandas as pd
import pandera.pandas as pa
from pandera.typing import DataFrame
from afresh import Context, Partition, asset, source
from afresh.sensors import files

class Flight(pa.DataFrameModel):
    carrier: str
    dep_delay: float = pa.Field(nullable=True)

class Delay(pa.DataFrameModel):
    carrier: str = pa.Field(unique=True)
    mean_delay: float

"""
FLIGHTS = 'flights = source("flights", files("landing/{day}.csv"), schema=Flight)\n'
LINES = HEAD.count("\n")

Load = Callable[..., Loaded]


@pytest.fixture
def loaded(tmp_path: Path) -> Load:
    """Write modules into a folder and load them: `name="code"` with the usual imports before it."""
    count = 0

    def run(
        pipeline: str | None = None,
        *,
        parameters: Mapping[str, Any] | None = None,
        last_good: Manifest | None = None,
        toml: str = "",
        **modules: str,
    ) -> Loaded:
        nonlocal count
        count += 1
        root = tmp_path / str(count)
        root.mkdir()
        if pipeline is not None:
            (root / "pipeline.py").write_text(HEAD + textwrap.dedent(pipeline))
        for name, text in modules.items():
            (root / f"{name}.py").write_text(textwrap.dedent(text))
        (root / "afresh.toml").write_text(toml)
        listed = [name for name in ("pipeline", *modules) if name != "helper"]
        if pipeline is None:
            listed.remove("pipeline")
        return load(str(root), listed, parameters or {}, "d", last_good=last_good)

    return run


def only(result: Loaded) -> tuple[str, str, int]:
    """Give the one problem: error, hint, line within what the test wrote."""
    (problem,) = result.manifest.problems
    assert problem.where is not None
    assert problem.where.file == "pipeline.py"
    return problem.error, problem.hint, problem.where.line - LINES


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


PROBLEMS = {
    "unknown dependency": (
        "@asset\ndef a(flihgts: pd.DataFrame) -> pd.DataFrame: ...",
        "Expected an asset 'flihgts' for 'a' to read, found none",
        "did you mean 'flights'?",
        2,
    ),
    "unknown without a near one": (
        "@asset\ndef a(xyzzy: pd.DataFrame) -> pd.DataFrame: ...",
        "Expected an asset 'xyzzy'",
        "declare asset 'xyzzy'",
        2,
    ),
    "missing annotation of an input": (
        "@asset\ndef a(flights) -> pd.DataFrame: ...",
        "Expected an annotation of parameter 'flights', found none",
        "annotate it",
        2,
    ),
    "missing annotation of the rest": (
        "@asset\ndef a(flight) -> pd.DataFrame: ...",
        "Expected an annotation of parameter 'flight', found none",
        "did you mean 'flights'?",
        2,
    ),
    "missing return": (
        "@asset\ndef a(flights: pd.DataFrame): ...",
        "Expected an annotation of what asset 'a' returns, found none",
        "write -> DataFrame[Model]",
        2,
    ),
    "returns no frame": (
        "@asset\ndef a(flights: pd.DataFrame) -> int: ...",
        "Expected asset 'a' to return a frame, found int",
        "write -> DataFrame[Model]",
        2,
    ),
    "input that is no frame": (
        "@asset\ndef a(flights: int) -> pd.DataFrame: ...",
        "Expected a frame as annotation of input 'flights', found int",
        "write DataFrame[Model]",
        2,
    ),
    "duplicate": (
        (
            "@asset\ndef a(flights: pd.DataFrame) -> pd.DataFrame: ...\n"
            "@asset\ndef a(flights: pd.DataFrame) -> pd.DataFrame: ..."
        ),
        "Expected one declaration of asset 'a', found another at pipeline.py:",
        "another name",
        4,
    ),
    "duplicate of a source": (
        "@asset(name='flights')\ndef a() -> pd.DataFrame: ...",
        "Expected one declaration of asset 'flights', found another at pipeline.py:",
        "another name",
        2,
    ),
    "cycle of one": (
        "@asset\ndef a(a: pd.DataFrame) -> pd.DataFrame: ...",
        "Expected no cycle, found a -> a",
        "break it",
        2,
    ),
    "cycle": (
        (
            "@asset\ndef a(c: pd.DataFrame) -> pd.DataFrame: ...\n"
            "@asset\ndef b(a: pd.DataFrame) -> pd.DataFrame: ...\n"
            "@asset\ndef c(b: pd.DataFrame, flights: pd.DataFrame) -> pd.DataFrame: ..."
        ),
        "Expected no cycle, found a -> b -> c -> a",
        "break it",
        2,
    ),
    "invalid name": (
        "@asset(name='a b')\ndef a() -> pd.DataFrame: ...",
        "Expected a name for an asset, found 'a b'",
        "identifiers",
        2,
    ),
    "lambda": (
        "asset(lambda: None)",
        "Expected a name for an asset, found '<lambda>'",
        "identifiers",
        2,
    ),
    "partitions of no input": (
        "@asset(partitions='flight')\ndef a(flights: pd.DataFrame) -> pd.DataFrame: ...",
        "Expected an input in partitions=, found 'flight'",
        "did you mean 'flights'?",
        2,
    ),
    "partitions of an input that has none": (
        (
            "planes = source('planes', files('planes.csv'))\n"
            "@asset(partitions='planes')\ndef a(planes: pd.DataFrame) -> pd.DataFrame: ..."
        ),
        "Expected partitions of 'planes' for 'a', found none",
        "read whole",
        3,
    ),
    "partitions of other dimensions": (
        (
            "source('hours', files('h/{day}/{hour}.csv'))\n"
            "@asset(partitions=('flights', 'hours'))\n"
            "def a(flights: pd.DataFrame, hours: pd.DataFrame) -> pd.DataFrame: ..."
        ),
        "found flights by (day) and hours by (day, hour)",
        "the same names",
        3,
    ),
    "contract": (
        (
            "class Wider(Flight):\n    origin: str\n"
            "@asset\ndef a(flights: DataFrame[Wider]) -> pd.DataFrame: ..."
        ),
        "Expected 'flights' to satisfy 'a': Expected column 'origin', found none in Flight",
        "declare it in Flight",
        4,
    ),
    "columns without what the schema needs": (
        (
            "@asset(columns={'flights': ['carrier']})\n"
            "def a(flights: DataFrame[Flight]) -> pd.DataFrame: ..."
        ),
        "Expected column 'dep_delay', found none",
        "declare it",
        2,
    ),
    "columns that are not there": (
        (
            "class Closed(Flight):\n    class Config:\n        strict = True\n"
            "source('closed', files('c.csv'), schema=Closed)\n"
            "@asset(columns={'closed': ['carier']})\n"
            "def a(closed: pd.DataFrame) -> pd.DataFrame: ..."
        ),
        "Expected a column of 'closed' for 'a', found 'carier'",
        "did you mean 'carrier'?",
        6,
    ),
    "unreadable schema": (
        (
            "class Broken(pa.DataFrameModel):\n    x: 'nonsense'\n"
            "@asset\ndef a(flights: pd.DataFrame) -> DataFrame[Broken]: ..."
        ),
        "Broken",
        "",
        4,
    ),
    "schema of a source that is none": (
        "source('x', files('x.csv'), schema=3)",
        "Expected a Pandera model or schema object, found 3",
        "schema=Model",
        2,
    ),
    "sensor that is none": (
        "source('x', 'x.csv')",
        "Expected a sensor, found 'x.csv'",
        "files(",
        2,
    ),
    "pattern that leaves the project": (
        "source('x', files('../x.csv'))",
        "below the project",
        "relative",
        2,
    ),
    "format": (
        "source('x', files('x.csv', format='cvs'))",
        "Expected a format (csv",
        "format=",
        2,
    ),
    "suffix that tells no format": (
        "source('x', files('x.dat'))",
        "Expected a suffix that tells the format",
        "format=",
        2,
    ),
    "option of the format": (
        "source('x', files('x.csv', options={'delimter': ';'}))",
        "Expected an option of csv",
        "options=",
        2,
    ),
    "options of another type": (
        "@asset(volatile=3)\ndef a() -> pd.DataFrame: ...",
        "Expected a declaration that can be read, found TypeError",
        "types of its options",
        2,
    ),
    "source options of another type": (
        "source('x', files('x.csv'), tags=3)",
        "Expected a declaration that can be read, found TypeError",
        "types of its options",
        2,
    ),
    "key columns without captures": (
        "source('x', files('x.csv'), key_columns=True)",
        "Expected captures",
        "leave it out",
        2,
    ),
    "deletion policy": (
        "source('x', files('x.csv'), on_delete='propogate')",
        "Expected on_delete of 'keep', 'propagate', 'fail', found 'propogate'",
        "did you mean 'propagate'?",
        2,
    ),
    "retries": (
        "@asset(retries=-1)\ndef a() -> pd.DataFrame: ...",
        "Expected retries",
        "retries=3",
        2,
    ),
    "new rows": (
        "@asset(new_rows=0)\ndef a() -> pd.DataFrame: ...",
        "Expected new_rows of 1 or more, found 0",
        "new_rows=1000",
        2,
    ),
    "new rows of nothing": (
        "@asset(new_rows=10)\ndef a() -> pd.DataFrame: ...",
        "Expected new= beside new_rows=",
        "what a run reads of a stream",
        2,
    ),
    "timeout": (
        "@asset(timeout='soon')\ndef a() -> pd.DataFrame: ...",
        "found 'soon'",
        "timeout",
        2,
    ),
    "refresh": (
        "@asset(refresh='eagre')\ndef a() -> pd.DataFrame: ...",
        "Expected refresh of 'eager'",
        "did you mean 'eager'?",
        2,
    ),
    "on code change": (
        "@asset(on_code_change='never')\ndef a() -> pd.DataFrame: ...",
        "Expected on_code_change of 'rebuild', 'new_only', 'manual'",
        "",
        2,
    ),
    "version": (
        "@asset(version=1.5)\ndef a() -> pd.DataFrame: ...",
        "Expected a version",
        "version=",
        2,
    ),
    "tags": (
        "@asset(tags=['a b'])\ndef a() -> pd.DataFrame: ...",
        "Expected words in tags, found 'a b'",
        "no spaces",
        2,
    ),
    "deps of no parameter": (
        "@asset(deps={'flight': 'flights'})\ndef a(flights: pd.DataFrame) -> pd.DataFrame: ...",
        "Expected a parameter of the function in deps, found 'flight'",
        "did you mean 'flights'?",
        2,
    ),
    "async": (
        "@asset\nasync def a() -> pd.DataFrame: ...",
        "Expected a plain function",
        "write def",
        2,
    ),
    "star": (
        "@asset\ndef a(*flights: pd.DataFrame) -> pd.DataFrame: ...",
        "Expected named parameters",
        "without *",
        2,
    ),
    "annotation that cannot be read": (
        "@asset\ndef a(flights: 'Missing') -> pd.DataFrame: ...",
        "name 'Missing' is not defined",
        "TYPE_CHECKING",
        2,
    ),
    "outputs that do not fit": (
        (
            "@asset(outputs=['x', 'y'])\n"
            "def a(flights: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]: ..."
        ),
        "Expected 2 outputs to be returned",
        "in their order",
        2,
    ),
    "two contexts": (
        "@asset\ndef a(x: Context, y: Context) -> pd.DataFrame: ...",
        "Expected one parameter for the context, found 'x' and 'y'",
        "remove one",
        2,
    ),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_each_problem_has_its_place_and_a_way_out(loaded: Load, name: str) -> None:
    code, error, hint, line = PROBLEMS[name]
    found = only(loaded(FLIGHTS + code + "\n"))
    assert error in found[0]
    assert hint in found[1]
    assert found[2] == line


def test_all_problems_are_told_at_once(loaded: Load) -> None:
    result = loaded(
        FLIGHTS
        + """
@asset
def a(flihgts: pd.DataFrame) -> pd.DataFrame: ...
@asset(retries=-1, timeout="x")
def b(flights) -> pd.DataFrame: ...
@asset
def c(d: pd.DataFrame) -> pd.DataFrame: ...
@asset
def d(c: pd.DataFrame) -> pd.DataFrame: ...
source("flights", files("x.csv"))
"""
    )
    problems = result.manifest.problems
    assert [p.where.line - LINES for p in problems if p.where] == [3, 5, 5, 5, 7, 11]
    assert all(p.hint for p in problems)


def test_contract_names_both_declarations(loaded: Load) -> None:
    result = loaded(
        FLIGHTS
        + """
class Other(pa.DataFrameModel):
    carrier: int

@asset
def a(flights: DataFrame[Other]) -> pd.DataFrame: ...
"""
    )
    (problem,) = result.manifest.problems
    assert "Flight at pipeline.py:8" in problem.error
    assert f"Other at pipeline.py:{LINES + 3}" in problem.error


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


def test_a_module_that_does_not_import(loaded: Load) -> None:
    other = "from afresh import asset\nimport pandas as pd\n@asset\ndef x() -> pd.DataFrame: ...\n"
    result = loaded(FLIGHTS, helper="1 / 0\n", other=other + "import helper\n")
    (problem,) = result.manifest.problems
    assert problem.module == "other"
    assert str(problem.where) == "helper.py:1"
    assert "ZeroDivisionError" in problem.error
    assert [s.name for s in result.manifest.sources] == ["flights"]
    assert result.manifest.functions == ()


@pytest.mark.parametrize(
    ("code", "where", "error", "hint"),
    [
        ("x = (\n", "other.py:1", "SyntaxError", ""),
        ("\nimport no_such_thing\n", "other.py:2", "No module named", "install it"),
        ("import sys\nsys.exit(3)\n", "other.py:2", "SystemExit", "must not end the process"),
        ("from afresh import asset\nasset(retry=1)\n", "other.py:2", "TypeError", ""),
        ("class Panic(BaseException): ...\nraise Panic\n", "other.py:2", "found Panic", ""),
        ("from afresh import asset\n@asset('a')\ndef a(): ...\n", "other.py:2", "@asset('a')", ""),
        ("raise RuntimeError\n", "other.py:1", "found RuntimeError", ""),
    ],
)
def test_why_it_does_not_import(loaded: Load, code: str, where: str, error: str, hint: str) -> None:
    (problem,) = loaded(FLIGHTS, other=code).manifest.problems
    assert str(problem.where) == where
    assert error in problem.error
    assert hint in problem.hint
    assert problem.module == "other"


def test_a_module_that_is_not_there(tmp_path: Path) -> None:
    (problem,) = load(str(tmp_path), ["no_such_pipeline"], {}, "d").manifest.problems
    assert "write no_such_pipeline.py" in problem.hint


def test_a_module_in_a_package_that_is_not_there(tmp_path: Path) -> None:
    (problem,) = load(str(tmp_path), ["no_such.flows"], {}, "d").manifest.problems
    assert "write no_such/flows.py" in problem.hint


def test_a_format_is_not_asked_of_open_names(loaded: Load) -> None:
    assert loaded("source('x', files('in/{name}'))").manifest.problems == ()


def test_a_module_that_is_installed(tmp_path: Path) -> None:
    (problem,) = load(str(tmp_path), ["json"], {}, "d").manifest.problems
    assert "installed module 'json'" in problem.error


OTHER = """
import pandas as pd
from afresh import asset, source
from afresh.sensors import files
source("planes", files("planes.csv"))
@asset
def wings(planes: pd.DataFrame) -> pd.DataFrame: ...
"""
USES = "\n@asset\ndef both(flights: pd.DataFrame, wings: pd.DataFrame) -> pd.DataFrame: ...\n"


def test_a_failed_module_keeps_its_last_good_assets(loaded: Load) -> None:
    good = loaded(FLIGHTS + USES, other=OTHER)
    assert good.manifest.problems == ()
    result = loaded(FLIGHTS + USES, other=OTHER + "1 / 0\n", last_good=good.manifest)
    (problem,) = result.manifest.problems
    assert problem.module == "other"
    assert {s.name for s in result.manifest.sources} == {"flights", "planes"}
    assert {f.name for f in result.manifest.functions} == {"both", "wings"}
    assert set(result.functions) == {"both"}


def test_what_needs_a_failed_module_waits_for_it(loaded: Load) -> None:
    more = "\n@asset\ndef more(both: pd.DataFrame) -> pd.DataFrame: ...\n"
    result = loaded(FLIGHTS + USES + more, other=OTHER + "1 / 0\n")
    assert {p.module for p in result.manifest.problems} == {"other"}
    assert [p.asset for p in result.manifest.problems] == ["", "both", "more"]
    assert result.manifest.functions == ()
    assert result.functions == {}


def test_each_load_is_fresh(loaded: Load) -> None:
    def value(result: Loaded) -> Any:
        return result.functions["a"].callable()

    code = "import helper\n@asset\ndef a() -> pd.DataFrame:\n    return helper.VALUE\n"
    assert value(loaded(code, helper="VALUE = 1\n")) == 1
    assert value(loaded(code, helper="VALUE = 2\n")) == 2


def test_no_bytecode_is_read_or_written(tmp_path: Path) -> None:
    helper = tmp_path / "helper.py"
    helper.write_text("VALUE = 1\n")
    (tmp_path / "pipeline.py").write_text("import helper\n")
    load(str(tmp_path), ["pipeline"], {}, "d")
    assert not (tmp_path / "__pycache__").exists()


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


def test_each_webhook_has_a_path_of_its_own(loaded: Load) -> None:
    result = loaded("""
        from afresh.sensors import upstream, webhook

        a = source("a", webhook("/hooks/x"))
        b = source("b", upstream("webhook:/hooks/x", asset="a"))
    """)
    (problem,) = result.manifest.problems
    assert "'/hooks/x', which is that of 'a'" in problem.error
    assert problem.asset == "b"
