"""What a function is seen to write: files, and objects that fsspec opens."""

from pathlib import Path

import fsspec

from afresh.daemon.workers.writes import watching


def test_files_and_objects_that_are_written_are_seen(tmp_path: Path) -> None:
    with fsspec.open("memory://lake/before.csv", "w") as file:
        file.write("x")
    with watching(True) as wrote:
        (tmp_path / "out.csv").write_text("x")
        with fsspec.open("memory://lake/a,b.csv", "w") as file:
            file.write("x")
        with fsspec.open("memory://lake/before.csv") as file:
            file.read()
        with fsspec.open(f"file://{tmp_path}/local.csv", "w") as file:
            file.write("x")
    with fsspec.open("memory://lake/after.csv", "w") as file:
        file.write("x")
    assert wrote == {
        str(tmp_path / "out.csv"),
        str(tmp_path / "local.csv"),
        "memory://lake/a%2Cb.csv",
    }


def test_nothing_is_gathered_that_nobody_wants(tmp_path: Path) -> None:
    with watching(False) as wrote:
        (tmp_path / "out.csv").write_text("x")
    assert wrote == set()
