"""Code is watched for as long as a daemon runs."""

from pathlib import Path

import anyio
import pytest

from afresh.assets.errors import UsageError
from afresh.daemon.definitions import code_watch
from afresh.daemon.definitions.code_watch import code_changes


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


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
