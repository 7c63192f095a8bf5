import errno
import os
from pathlib import Path

import pytest

from afresh.assets.errors import StorageUnavailable, UsageError
from afresh.daemon.workers.snapshot import code_folders, digest_of, take


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "afresh.toml").write_text("")
    (tmp_path / "pipeline.py").write_text("import lib.a\n")
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "a.py").write_text("A = 1\n")
    return tmp_path


def contents(folder: str) -> set[str]:
    return {str(p.relative_to(folder)) for p in Path(folder).rglob("*") if p.is_file()}


def test_what_is_copied(project: Path) -> None:
    for name in (
        ".venv/x.py",
        "env/pyvenv.cfg",
        "env/x.py",
        "node_modules/x.py",
        "data/x.py",
        ".hidden.py",
        "lib/__pycache__/a.cpython-311.py",
        "landing/x.csv",
        "state/x.py",
        "not-a-package/x.py",
    ):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("x")
    (project / "pyproject.toml").write_text("")
    digest, folder = take(str(project), "state")
    assert contents(folder) == {"afresh.toml", "pyproject.toml", "pipeline.py", "lib/a.py"}
    assert folder == str(project / "state" / "snapshots" / digest)
    assert digest == digest_of(str(project), "state")


def test_a_package_named_data_is_code(project: Path) -> None:
    (project / "data").mkdir()
    (project / "data" / "__init__.py").write_text("")
    (project / "data" / "clean.py").write_text("")
    _, folder = take(str(project))
    assert {"data/__init__.py", "data/clean.py"} <= contents(folder)


def test_linked_packages_are_copied_and_loops_end(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "__init__.py").write_text("")
    (project / "shared").symlink_to(other)
    (other / "loop").symlink_to(other)
    (project / "broken.py").symlink_to(project / "nowhere")
    _, folder = take(str(project))
    assert contents(folder) == {"afresh.toml", "pipeline.py", "lib/a.py", "shared/__init__.py"}


@pytest.mark.parametrize("change", ["edit", "rename", "add", "remove", "settings"])
def test_each_change_is_another_digest(project: Path, change: str) -> None:
    before = digest_of(str(project))
    helper = project / "lib" / "a.py"
    if change == "edit":
        stat = helper.stat()
        helper.write_text("A = 2\n")
        os.utime(helper, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    elif change == "rename":
        helper.rename(project / "lib" / "b.py")
    elif change == "add":
        (project / "lib" / "b.py").write_text("")
    elif change == "remove":
        helper.unlink()
    else:
        (project / "afresh.toml").write_text("workers = 1")
    assert digest_of(str(project)) != before


def test_data_is_no_change(project: Path) -> None:
    before = digest_of(str(project))
    take(str(project))
    (project / "landing").mkdir()
    (project / "landing" / "x.csv").write_text("a")
    assert digest_of(str(project)) == before


def test_a_snapshot_is_taken_once(project: Path) -> None:
    digest, folder = take(str(project))
    inode = Path(folder).stat().st_ino
    assert take(str(project)) == (digest, folder)
    assert Path(folder).stat().st_ino == inode
    assert os.listdir(project / ".afresh" / "snapshots") == [digest]  # noqa: PTH208


def test_a_damaged_snapshot_is_replaced(project: Path) -> None:
    _, folder = take(str(project))
    (Path(folder) / "pipeline.py").write_text("")
    take(str(project))
    assert (Path(folder) / "pipeline.py").read_text() == "import lib.a\n"


def test_a_disk_without_room_is_an_error_of_ours(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon that is to take over new definitions goes on by the old ones, and tries again."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(StorageUnavailable, match="found: No space left"):
        take(str(project))
    assert list((project / ".afresh" / "snapshots").iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_cannot_be_read_is_named(project: Path) -> None:
    (project / "lib" / "a.py").chmod(0)
    with pytest.raises(UsageError, match=r"lib/a\.py"):
        take(str(project))


def test_the_folders_of_code_are_those_to_watch(project: Path) -> None:
    (project / "landing").mkdir()
    (project / "lib" / "deep").mkdir()
    (project / "lib" / "deep" / "b.py").write_text("")
    assert code_folders(str(project)) == [
        str(project),
        str(project / "lib"),
        str(project / "lib" / "deep"),
    ]
