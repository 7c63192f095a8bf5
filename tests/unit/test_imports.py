"""What a process loads: the daemon no data library, the fast path of commands next to nothing."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = {"numpy", "pandas", "pandera", "polars", "pyarrow"}
SLOW = DATA | {"alembic", "anyio", "asyncio", "fsspec", "pydantic", "sqlalchemy", "sqlmodel"}
RULES = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]


def loaded_by(code: str) -> set[str]:
    """Top-level names of all modules that a fresh interpreter has loaded after this code."""
    told = "import json, sys; print(json.dumps(sorted({n.split('.')[0] for n in sys.modules})))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{told}"], check=True, capture_output=True, text=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_each_part_of_the_daemon_is_held_to_the_rule() -> None:
    (rule,) = (rule for rule in RULES if "data libraries" in rule["name"])
    parts = {
        f"afresh.daemon.{path.stem}"
        for path in (ROOT / "daemon").iterdir()
        if path.stem != "__init__" and (path.suffix == ".py" or (path / "__init__.py").exists())
    }
    assert parts - set(rule["source_modules"]) == {"afresh.daemon.workers"}
    assert set(rule["forbidden_modules"]) == DATA


def test_the_daemon_loads_no_data_library() -> None:
    assert loaded_by("import afresh.daemon.app") & DATA == set()


def test_the_command_line_starts_on_next_to_nothing() -> None:
    assert loaded_by("import afresh.daemon.cli") & (SLOW | {"click", "rich"}) == set()


@pytest.mark.parametrize(
    "name", ["afresh", "afresh.daemon.config", "afresh.daemon.restore.planner"]
)
def test_what_the_fast_path_uses_is_light(name: str) -> None:
    assert loaded_by(f"import {name}") & SLOW == set()


def test_a_declaration_loads_no_data_library() -> None:
    code = "from afresh import asset, source, Context, Partition; from afresh.sensors import files"
    assert loaded_by(code) & SLOW == set()
