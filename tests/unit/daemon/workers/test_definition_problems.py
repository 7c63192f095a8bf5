"""What is wrong with definitions: each problem with its place and a way out."""

import sys

import pytest

from support.defining import FLIGHTS, LINES, Load, only

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
    "column of records": (
        (
            "from afresh.sensors import webhook\n"
            "source('x', webhook('/x', options={'columns': 'key, nope'}), schema=Flight)"
        ),
        "found ' nope'",
        'options={"columns": "key,headers"}',
        3,
    ),
    "column of records twice": (
        (
            "from afresh.sensors import webhook\n"
            "source('x', webhook('/x', options={'columns': 'key,key'}), schema=Flight)"
        ),
        "Expected each column of records once, found 'key,key'",
        "leave out",
        3,
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


@pytest.mark.parametrize(
    ("form", "module", "extra"),
    [
        ("avro", "fastavro", "avro"),
        ("protobuf", "google.protobuf", "protobuf"),
        ("json_schema", "jsonschema", "json-schema"),
    ],
)
def test_a_format_that_is_not_installed_is_named_with_its_extra(
    loaded: Load, monkeypatch: pytest.MonkeyPatch, form: str, module: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    code = f"""
from afresh.sensors import kafka
r = 'http://127.0.0.1:1'
source('x', kafka('x', servers='127.0.0.1:1', format={form!r}, registry=r), schema=Flight)
"""
    error, hint, line = only(loaded(FLIGHTS + code))
    assert error == f"Expected {module} to be installed, found no such distribution"
    assert hint == f"pip install 'afresh[{extra}]'"
    assert line == 5


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
