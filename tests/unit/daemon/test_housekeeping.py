"""What is kept only for a time goes, and nothing else."""

import os
from pathlib import Path

from afresh.daemon.housekeeping import sweep


def test_old_files_go_and_new_ones_stay(tmp_path: Path) -> None:
    old, new = tmp_path / "a" / "old.csv", tmp_path / "a" / "new.csv"
    old.parent.mkdir()
    for path, at in ((old, 100.0), (new, 300.0)):
        path.write_text("x")
        os.utime(path, (at, at))
    assert sweep(tmp_path, 200.0) == 1
    assert not old.exists()
    assert new.exists()


def test_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("x")
    os.utime(outside, (100.0, 100.0))
    folder = tmp_path / "kept"
    folder.mkdir()
    (folder / "link").symlink_to(outside)
    os.utime(folder / "link", (100.0, 100.0), follow_symlinks=False)
    assert sweep(folder, 200.0) == 1
    assert outside.exists()


def test_absent_folder_is_nothing_to_do(tmp_path: Path) -> None:
    assert sweep(tmp_path / "absent", 1e12) == 0


def test_what_is_still_written_to_stays(tmp_path: Path) -> None:
    for name in ("base.log", "run.log", "sensor-orders.log"):
        (tmp_path / name).write_text("x")
        os.utime(tmp_path / name, (100.0, 100.0))
    assert sweep(tmp_path, 200.0, ("base.log", "sensor-")) == 1
    assert not (tmp_path / "run.log").exists()
