"""What tests of sensors share."""

from pathlib import Path

import pytest


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    folder = tmp_path / "landing"
    folder.mkdir()
    return folder


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    """Where a sensor puts batches that are too large for the journal."""
    return tmp_path / "staging" / "things"
