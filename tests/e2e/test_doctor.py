"""What `afresh doctor` says of definitions."""

import json
from pathlib import Path

import pytest

from support.living import Living

pytestmark = pytest.mark.e2e

GOOD = """
import pandas as pd
from afresh import asset

@asset
def made(n: int = 1) -> pd.DataFrame:
    return pd.DataFrame({"n": [n]})
"""


@pytest.mark.parametrize(
    ("pipeline", "settings", "detail"),
    [
        (GOOD, "", ""),
        ("import nothing_like_it", "", "nothing_like_it"),
        (GOOD, "[parameters.made]\nm = 2\n", "m"),
        (GOOD, 'state = "pipeline.py/state"\n', "Not a directory"),
    ],
    ids=["good", "does-not-import", "wrong-parameter", "nowhere-to-load-from"],
)
def test_definitions_that_do_not_load_are_found(
    tmp_path: Path, pipeline: str, settings: str, detail: str
) -> None:
    project = Living.make(tmp_path / "project", pipeline, settings)
    done = project.run("doctor", "--json", check=False)
    (row,) = [row for row in json.loads(done.stdout) if row["check"] == "definitions"]
    assert (row["state"], done.returncode) == (("failed", 1) if detail else ("ok", 0))
    assert detail in row["detail"]
