from pathlib import Path

import pytest

from support.commands import Commands, project_with_story


@pytest.fixture
def afresh(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Commands:
    """Commands of a project that has run."""
    return Commands(project_with_story(tmp_path), capfd)


@pytest.fixture
def fresh_afresh(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Commands:
    """Commands of a project that has never run."""
    (tmp_path / "afresh.toml").write_text('definitions = ["pipeline"]\n')
    return Commands(tmp_path, capfd)
