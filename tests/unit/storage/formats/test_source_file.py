"""A source's file is read whole, in one state, or not at all."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from afresh.assets.errors import ChangedData, UnreadableData, UsageError, VanishedData
from afresh.storage.formats.source_file import read_file, read_source, show_path

DATA = b"id,n\n007,1\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "d.csv"
    file.write_bytes(DATA)
    return file


def meanwhile(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    """Do `change` after the first piece of the file was read."""
    real = os.read
    done: list[bool] = []

    def read(descriptor: int, size: int) -> bytes:
        piece = real(descriptor, size)
        if not done:
            done.append(True)
            change()
        return piece

    monkeypatch.setattr("os.read", read)


def test_what_is_read_is_known_by_its_identity_and_hash(path: Path) -> None:
    read = read_source(str(path), types={"id": "string"})
    status = path.stat()
    assert read.table.to_pylist() == [{"id": "007", "n": 1}]
    assert read.hash == blake3(DATA).hexdigest()
    assert tuple(read.identity) == (
        status.st_ino,
        len(DATA),
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def test_a_file_that_is_replaced_while_it_is_read_is_read_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = path.with_suffix(".new")
    other.write_bytes(DATA)
    meanwhile(monkeypatch, lambda: other.rename(path))
    with pytest.raises(ChangedData):
        read_file(str(path))


@pytest.mark.parametrize("size", [0, 5, len(DATA), 1000])
def test_a_file_that_is_written_while_it_is_read_is_read_again(
    path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    os.utime(path, (1, 1))
    meanwhile(monkeypatch, lambda: path.write_bytes(b"x" * size))
    with pytest.raises(ChangedData):
        read_file(str(path))


def test_a_file_that_goes_while_it_is_read_has_vanished(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile(monkeypatch, path.unlink)
    with pytest.raises(VanishedData):
        read_file(str(path))


def test_a_file_that_is_not_there_has_vanished(path: Path) -> None:
    for gone in (path.with_name("no.csv"), path / "no.csv"):
        with pytest.raises(VanishedData, match="Expected a file, found nothing"):
            read_file(str(gone))


def test_only_regular_files_are_read_and_nothing_waits(tmp_path: Path) -> None:
    fifo, sock = tmp_path / "fifo.csv", tmp_path / "sock.csv"
    os.mkfifo(fifo)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(sock))
        for odd, found in (
            (fifo, "a FIFO"),
            (tmp_path, "a folder"),
            (sock, "a socket"),
            (Path("/dev/null"), "a device"),
        ):
            with pytest.raises(UnreadableData, match=f"a regular file, found {found}"):
                read_file(str(odd))


def test_a_link_is_followed_only_to_where_it_may_lead(tmp_path: Path) -> None:
    project, outside = tmp_path / "project", tmp_path / "outside.csv"
    project.mkdir()
    outside.write_bytes(b"secret")
    inner = project / "real.csv"
    inner.write_bytes(DATA)
    good, bad, dangling = (project / name for name in ("good.csv", "bad.csv", "dangling.csv"))
    good.symlink_to(inner)
    bad.symlink_to(outside)
    dangling.symlink_to(project / "nothing")
    inside = (str(project),)
    assert read_file(str(good), inside)[0] == DATA
    alias = tmp_path / "alias"
    alias.symlink_to(project)
    assert read_file(str(alias / "good.csv"), (str(alias),))[0] == DATA
    with pytest.raises(UnreadableData, match="found a symbolic link to"):
        read_file(str(good))
    with pytest.raises(UnreadableData, match="found a symbolic link to"):
        read_file(str(bad), inside)
    with pytest.raises(VanishedData):
        read_file(str(dangling), inside)


def test_no_descriptor_is_left_open(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.csv"
    link.symlink_to(path)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for bad in (link, tmp_path):
        with pytest.raises(UnreadableData):
            read_file(str(bad))
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_an_error_names_the_file(path: Path) -> None:
    path.write_bytes(b"id,n\na,x\n")
    with pytest.raises(UnreadableData) as caught:
        read_source(str(path), types={"n": "int64"})
    assert str(caught.value) == f"{path}: Expected int64, found 'x' in row 1 (line 2), column 'n'"


def test_odd_names_are_read_and_shown_on_one_line(tmp_path: Path) -> None:
    for name in (b"a b\n.csv", b"\xff.csv", "\u202eevil.csv".encode(), b"'\".csv", b"%2e.csv"):
        odd = os.fsdecode(os.fsencode(tmp_path) + b"/" + name)
        Path(odd).write_bytes(DATA)
        assert read_source(odd).table.num_rows == 1
        assert show_path(odd).isprintable()


def test_an_unknown_option_or_format_is_a_wrong_call(path: Path) -> None:
    with pytest.raises(UsageError, match="found 'sep'"):
        read_source(str(path), options={"sep": ";"})
    with pytest.raises(UsageError, match="found 'xml'"):
        read_source(str(path), "xml")
