import json
from pathlib import Path

import pytest

from afresh.daemon.cli.root import run


def test_a_project_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "a b" / "demo"
    assert run(["init", str(target), "--json"]) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert {"afresh.toml", "pipeline.py", ".gitignore"} < set(files)
    assert all((target / name).is_file() for name in files)
    compile((target / "pipeline.py").read_text(), "pipeline.py", "exec")


@pytest.mark.parametrize("there", ["afresh.toml", "pipeline.py", "landing/2013-01-01.csv"])
def test_nothing_is_overwritten_and_nothing_written_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], there: str
) -> None:
    (tmp_path / there).parent.mkdir(exist_ok=True)
    (tmp_path / there).write_text("mine")
    assert run(["init", str(tmp_path)]) == 2
    assert there in capsys.readouterr().err
    assert (tmp_path / there).read_text() == "mine"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / there]


def test_what_git_ignores_is_kept(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("mine\n")
    assert run(["init", str(tmp_path)]) == 0
    assert (tmp_path / ".gitignore").read_text() == "mine\n"


def test_a_folder_that_cannot_be_made_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert run(["init", str(tmp_path / "file" / "demo")]) == 2
    assert "error: Expected a folder" in capsys.readouterr().err
