"""Definitions are loaded again and again while a daemon runs: what fails costs that load."""

import errno
from pathlib import Path
from typing import Any

import pytest

from afresh.assets.errors import StorageUnavailable
from afresh.daemon.config import load_settings
from afresh.daemon.definitions.loading import load_manifest
from afresh.daemon.workers import snapshot


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
