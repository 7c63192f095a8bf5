"""Definitions are loaded again and again while a daemon runs: what fails costs that load."""

import errno
from pathlib import Path
from typing import Any

import anyio
import pytest

from afresh.assets.errors import StorageUnavailable, UsageError
from afresh.daemon.config import load_settings
from afresh.daemon.definitions import code_watch
from afresh.daemon.definitions.code_watch import code_changes
from afresh.daemon.definitions.generations import load_manifest
from afresh.daemon.workers import snapshot

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_full_disk_refuses_a_load_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def take(*_: str) -> tuple[str, str]:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(snapshot, "take", take)
    (tmp_path / "afresh.toml").touch()
    pool: Any = None
    with pytest.raises(StorageUnavailable, match="No space left on device"):
        await load_manifest(pool, load_settings(str(tmp_path), {}))


async def test_code_is_watched_on_though_a_file_of_it_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: str) -> list[str]:
        raise UsageError("Expected to read 'pipeline.py', found: Permission denied")

    changes = code_changes(str(tmp_path), str(tmp_path / ".afresh"))
    monkeypatch.setattr(code_watch, "INTERVAL_SECONDS", 0.01)
    with anyio.fail_after(60):
        await anext(changes)
        monkeypatch.setattr(code_watch, "code_folders", fail)
        await anext(changes)
        monkeypatch.undo()
        (tmp_path / "pipeline.py").touch()
        await anext(changes)
    await changes.aclose()
