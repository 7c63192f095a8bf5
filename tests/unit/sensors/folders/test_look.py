"""What counts as a file."""

import os
import socket
from pathlib import Path

import pytest

from afresh.sensors.folders.look import look


def test_a_regular_file_is_seen_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("four")
    seen = look(os.fspath(path), ())
    assert seen is not None
    assert (seen.identity.size, seen.identity.inode) == (4, path.stat().st_ino)
    assert seen.identity.mtime_ns == path.stat().st_mtime_ns
    assert seen.identity.ctime_ns == path.stat().st_ctime_ns
    assert seen.problem == ""


def test_what_is_absent_or_no_file_is_not_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("fifo")
    os.mkdir("folder")  # noqa: PTH102
    Path("loop").symlink_to("loop")
    Path("dangling").symlink_to("absent")
    Path("to_folder").symlink_to("folder")
    Path("to_fifo").symlink_to("fifo")
    Path("file").touch()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        for name in ("fifo", "folder", "loop", "dangling", "to_folder", "to_fifo", "socket"):
            assert look(os.fspath(tmp_path / name), (os.fspath(tmp_path),)) is None
    assert look("/dev/null", ("/dev",)) is None
    assert look(os.fspath(tmp_path / "file" / "below"), ()) is None
    assert look(os.fspath(tmp_path / ("x" * 300)), ()) is None


def test_a_link_is_followed_inside_and_refused_outside(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "in-not"
    inside.mkdir()
    outside.mkdir()
    (inside / "file").write_text("four")
    (outside / "file").write_text("secret")
    (inside / "good").symlink_to("file")
    (inside / "bad").symlink_to(outside / "file")
    (inside / "chain").symlink_to("bad")
    good = look(os.fspath(inside / "good"), (os.fspath(inside),))
    assert good is not None
    assert (good.identity.size, good.problem) == (4, "")
    for name in ("bad", "chain"):
        bad = look(os.fspath(inside / name), (os.fspath(inside),))
        assert bad is not None
        assert repr(os.fspath(outside / "file")) in bad.problem


def test_what_cannot_be_known_is_not_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    def lstat(_: str) -> os.stat_result:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("afresh.sensors.folders.look.os.lstat", lstat)
    with pytest.raises(PermissionError):
        look("/x", ())
