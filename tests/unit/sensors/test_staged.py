"""What is staged outlasts a power cut: the file, its name, and the folders that lead to it."""

import os
from pathlib import Path

import pytest

from afresh.sensors.staged import stage


def test_the_file_and_all_that_is_new_above_it_are_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def noting(descriptor: int) -> None:
        synced.append(os.path.relpath(Path(f"/proc/self/fd/{descriptor}").readlink(), tmp_path))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    path = tmp_path / "staged" / "orders" / "1"
    stage(path, b"records")
    assert path.read_bytes() == b"records"
    assert synced == [".", "staged", "staged/orders/1", "staged/orders"]
    synced.clear()
    stage(path.with_name("2"), b"")
    assert synced == ["staged/orders/2", "staged/orders"]
    assert (path.parent.stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (0o700, 0o600)


def test_a_file_that_cannot_be_synced_is_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        stage(tmp_path / "1", b"records")
    assert list(tmp_path.iterdir()) == []


def test_a_name_is_taken_once(tmp_path: Path) -> None:
    stage(tmp_path / "1", b"first")
    with pytest.raises(FileExistsError):
        stage(tmp_path / "1", b"second")
    assert (tmp_path / "1").read_bytes() == b"first"
