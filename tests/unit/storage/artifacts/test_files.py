import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from afresh.assets.errors import ArtifactError
from afresh.storage.artifacts.files import create, delete, exists, read_bytes


def write(uri: str, data: bytes) -> None:
    with create(uri) as file:
        file.write(data)


def test_a_full_disk_leaves_nothing_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "new" / "file"
    path.parent.mkdir()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ArtifactError, match="No space left") as caught:
        write(str(path), b"data")
    assert "make room" in caught.value.hint
    assert list(path.parent.iterdir()) == []


def test_file_and_every_new_folder_are_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    path = tmp_path / "a" / "b" / "file"
    write(str(path), b"data")
    synced_in_order = [tmp_path, path, tmp_path / "a" / "b", tmp_path / "a"]
    assert synced == [str(each) for each in synced_in_order]
    assert path.read_bytes() == b"data"


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ArtifactError, match="Expected to write an artifact"):
        write(str(tmp_path / "file" / "x"), b"")
    assert not exists(str(tmp_path / "file" / "x"))


def test_delete_tries_all_before_it_fails(tmp_path: Path) -> None:
    folder, file = tmp_path / "folder", tmp_path / "file"
    folder.mkdir()
    file.write_bytes(b"")
    with pytest.raises(ArtifactError, match="Expected to delete"):
        delete([str(folder), str(file)])
    assert not file.exists()


def test_an_unknown_store_is_named() -> None:
    with pytest.raises(ArtifactError, match="Expected a store that fsspec knows"):
        read_bytes("nonsense://x/y")


def test_no_data_library_is_imported() -> None:
    code = (
        "import sys; import afresh.storage.artifacts.files, afresh.storage.artifacts.paths;"
        "print([m for m in ('pyarrow', 'pandas', 'numpy', 'polars', 'fsspec') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
