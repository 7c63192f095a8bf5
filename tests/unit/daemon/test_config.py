import re
import subprocess
import sys
from pathlib import Path

import pytest

from afresh.assets.errors import UsageError
from afresh.assets.planner.segments import Most
from afresh.daemon.config import find_project, has_settings, load_settings


def write(folder: Path, text: str, name: str = "afresh.toml") -> str:
    (folder / name).write_text(text)
    return str(folder)


def test_defaults(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, ""), {})
    assert settings.definitions == ("pipeline",)
    assert settings.project == str(tmp_path)
    assert settings.state == str(tmp_path / ".afresh")
    assert settings.ledger == str(tmp_path / ".afresh" / "ledger.sqlite")
    assert settings.artifacts == str(tmp_path / ".afresh" / "artifacts")
    assert settings.workers >= 1
    assert settings.max_wait_seconds == 1.0
    assert Most() == Most(settings.new_rows, settings.new_bytes)
    assert settings.alerts == ()


def test_everything_set(tmp_path: Path) -> None:
    text = """
definitions = ["a", "b.c"]
state = "run"
ledger = "../x.sqlite"
artifacts = "s3://bucket/x"
workers = 3
max_wait = "500ms"
scan_interval = 5
keep_rejected = "7d"
new_rows = 1000
new_bytes = "64MB"
most_pending = 500
dead_letters = 50
dead_letter_bytes = "1MB"

[parameters.orders]
limit = 3

[[alerts]]
kind = "command"
command = ["mail", "me"]

[[alerts]]
kind = "webhook"
url = "https://example.org"
"""
    settings = load_settings(write(tmp_path, text), {})
    assert settings.definitions == ("a", "b.c")
    assert settings.state == str(tmp_path / "run")
    assert settings.ledger == str(tmp_path.parent / "x.sqlite")
    assert settings.artifacts == "s3://bucket/x"
    assert settings.workers == 3
    assert settings.max_wait_seconds == 0.5
    assert settings.scan_interval_seconds == 5.0
    assert settings.keep_rejected_seconds == 7 * 86400.0
    assert (settings.new_rows, settings.new_bytes) == (1000, 64_000_000)
    assert settings.most_pending == 500
    assert (settings.dead_letters, settings.dead_letter_bytes) == (50, 1_000_000)
    assert settings.parameters == {"orders": {"limit": 3}}
    assert [a["kind"] for a in settings.alerts] == ["command", "webhook"]


def test_state_moves_what_lies_in_it(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, 'state = "s"'), {})
    assert settings.ledger == str(tmp_path / "s" / "ledger.sqlite")
    assert settings.artifacts == str(tmp_path / "s" / "artifacts")


def test_environment_wins(tmp_path: Path) -> None:
    environ = {
        "AFRESH_WORKERS": "2",
        "AFRESH_DEFINITIONS": "x, y",
        "AFRESH_MAX_WAIT": "0.25",
        "AFRESH_SOMETHING_ELSE": "ignored",
        "HOME": "/",
    }
    settings = load_settings(write(tmp_path, "workers = 1"), environ)
    assert settings.workers == 2
    assert settings.definitions == ("x", "y")
    assert settings.max_wait_seconds == 0.25


def test_a_near_miss_in_the_environment_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load_settings(write(tmp_path, ""), {"AFRESH_WORKRES": "2"})
    assert caught.value.hint == "did you mean AFRESH_WORKERS?"


@pytest.mark.parametrize(
    ("text", "where", "hint"),
    [
        ("\nworkres = 2", "afresh.toml:2", "did you mean 'workers'?"),
        ("a = 1", "afresh.toml:1", "there are: definitions, state"),
        ("\n\n[parametres.x]\na=1", "afresh.toml:3", "did you mean 'parameters'?"),
        ("workers = 0", "afresh.toml:1", "setting 'workers'"),
        ("workers = true", "afresh.toml:1", "setting 'workers'"),
        ("definitions = []", "afresh.toml:1", "setting 'definitions'"),
        ('definitions = ["a/b.py"]', "afresh.toml:1", "setting 'definitions'"),
        ("definitions = [1]", "afresh.toml:1", "setting 'definitions'"),
        ("max_wait = -1", "afresh.toml:1", "setting 'max_wait'"),
        ("max_wait = nan", "afresh.toml:1", "setting 'max_wait'"),
        ('scan_interval = "soon"', "afresh.toml:1", "setting 'scan_interval'"),
        ("scan_interval = 0", "afresh.toml:1", "setting 'scan_interval'"),
        ("new_rows = 0", "afresh.toml:1", "setting 'new_rows'"),
        ('new_bytes = "much"', "afresh.toml:1", "setting 'new_bytes'"),
        ('artifacts = "memory://x"', "afresh.toml:1", "setting 'artifacts'"),
        ('artifacts = "s3://me:hunter2@lake/x"', "afresh.toml:1", "setting 'artifacts'"),
        ('state = ""', "afresh.toml:1", "setting 'state'"),
        ('state = "."', "afresh.toml", ""),
        ('state = ".."', "afresh.toml", ""),
        ("\n[[alerts]]\ncommand = []", "afresh.toml:2", "setting 'alerts'"),
        ('[[alerts]]\nkind = "command"', "afresh.toml:1", "setting 'alerts'"),
        ('[[alerts]]\nkind = "webhook"\nurl = "x"', "afresh.toml:1", "setting 'alerts'"),
        ("alerts = 3", "afresh.toml:1", "setting 'alerts'"),
        ("parameters = 3", "afresh.toml:1", "setting 'parameters'"),
        ("[parameters]\nx = 3", "afresh.toml:1", "setting 'parameters'"),
        ("a = 1\nb ==", "afresh.toml:2", "toml.io"),
        ("a = ", "afresh.toml:1", "toml.io"),
    ],
)
def test_errors_name_the_line(tmp_path: Path, text: str, where: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_settings(write(tmp_path, text), {})
    assert caught.value.where == where
    assert hint in caught.value.hint


def test_tool_table(tmp_path: Path) -> None:
    project = write(tmp_path, "[tool.afresh]\nworkers = 4\n", "pyproject.toml")
    settings = load_settings(project, {})
    assert (settings.workers, settings.file) == (4, "pyproject.toml")
    (tmp_path / "afresh.toml").write_text("workers = 2")
    with pytest.raises(UsageError, match="one file"):
        load_settings(project, {})


def test_text_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "afresh.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="UTF-8"):
        load_settings(str(tmp_path), {})


def test_search_goes_upward(tmp_path: Path) -> None:
    write(tmp_path, "")
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    write(tmp_path / "a", '[project]\nname = "afresh-user"', "pyproject.toml")
    assert find_project(str(below)) == str(tmp_path)
    write(tmp_path / "a", "[tool.afresh]", "pyproject.toml")
    assert find_project(str(below)) == str(tmp_path / "a")


def test_no_project(tmp_path: Path) -> None:
    assert not has_settings(str(tmp_path))
    with pytest.raises(UsageError, match="found neither"):
        load_settings(str(tmp_path), {})
    with pytest.raises(UsageError) as caught:
        find_project(str(tmp_path))
    assert "afresh init" in caught.value.hint


def test_imports_nothing_heavy() -> None:
    code = "import sys; import afresh.daemon.config; print(*sys.modules)"
    out = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    heavy = {
        "anyio",
        "pydantic",
        "sqlalchemy",
        "sqlmodel",
        "pandas",
        "pandera",
        "pyarrow",
        "polars",
    }
    assert not heavy & set(out.split())


@pytest.mark.parametrize("key", ["ledger", "state"])
@pytest.mark.parametrize(
    "url", ["postgresql://me:hunter2@host/db", "sqlite:///x.sqlite", "S3+x://lake/x", "file:///x"]
)
def test_a_url_is_no_path(tmp_path: Path, key: str, url: str) -> None:
    scheme = url.partition(":")[0]
    for text, environ, where in (
        (f"workers = 2\n{key} = {url!r}", {}, "afresh.toml:2"),
        ("workers = 2", {f"AFRESH_{key.upper()}": url}, f"AFRESH_{key.upper()}"),
    ):
        with pytest.raises(
            UsageError, match=f"Expected a path.*found .*{re.escape(scheme)}://"
        ) as e:
            load_settings(write(tmp_path, text), environ)
        assert e.value.where == where
        assert f'{key} = ".afresh' in e.value.hint
        assert "hunter2" not in str(e.value)


def test_a_path_may_have_a_colon(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, 'ledger = "a:b/:memory:"'), {})
    assert settings.ledger == str(tmp_path / "a:b" / ":memory:")
