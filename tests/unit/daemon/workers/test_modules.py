"""Modules of definitions: those that do not import, are installed, or are loaded again."""

from pathlib import Path
from typing import Any

import pytest

from afresh.daemon.workers.definitions import load
from afresh.daemon.workers.live import Loaded
from support.defining import FLIGHTS, Load

OTHER = """
import pandas as pd
from afresh import asset, source
from afresh.sensors import files
source("planes", files("planes.csv"))
@asset
def wings(planes: pd.DataFrame) -> pd.DataFrame: ...
"""


USES = "\n@asset\ndef both(flights: pd.DataFrame, wings: pd.DataFrame) -> pd.DataFrame: ...\n"


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


def test_a_module_that_is_installed(tmp_path: Path) -> None:
    (problem,) = load(str(tmp_path), ["json"], {}, "d").manifest.problems
    assert "installed module 'json'" in problem.error


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
