"""Where `afresh read -o` writes: whole files, through links, and into what is no file."""

import os
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from afresh.assets.errors import UsageError
from afresh.daemon.cli.read import _replacing


def test_a_file_is_replaced_when_it_is_whole(tmp_path: Path) -> None:
    place = tmp_path / "out.csv"
    place.write_bytes(b"old")
    with suppress(ZeroDivisionError), _replacing(str(place)) as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert place.read_bytes() == b"old"
    with _replacing(str(place)) as file:
        file.write(b"new")
    assert place.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [place]


def test_a_link_stays(tmp_path: Path) -> None:
    link, place = tmp_path / "link.csv", tmp_path / "place.csv"
    link.symlink_to(place)
    with _replacing(str(link)) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert place.read_bytes() == b"new"


def test_what_is_no_file_is_written_to(tmp_path: Path) -> None:
    pipe, got = tmp_path / "pipe.csv", list[bytes]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()), daemon=True)
    reader.start()
    with _replacing(str(pipe)) as file:
        file.write(b"rows")
    reader.join()
    assert got == [b"rows"]
    assert pipe.is_fifo()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    place = tmp_path / "absent" / "out.csv"
    with pytest.raises(UsageError, match=r"out\.csv"), _replacing(str(place)):
        pass
