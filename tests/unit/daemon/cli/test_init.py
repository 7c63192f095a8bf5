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


def test_the_folder_may_be_named_as_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["init", "--project", "demo"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]
    assert run(["init", "one", "--project", "two"]) == 2
    assert not (tmp_path / "one").exists()


def test_a_project_of_a_pyproject_gets_no_second_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.afresh]\n")
    assert run(["init", str(tmp_path)]) == 2
    assert "tool.afresh" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["pyproject.toml"]


def test_the_next_step_can_be_pasted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["init", "my shop; ls"]) == 0
    assert "  cd 'my shop; ls'\n" in capsys.readouterr().out
