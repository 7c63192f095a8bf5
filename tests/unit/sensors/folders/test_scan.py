"""One listing of a folder tree."""

import os
from pathlib import Path

import pytest

from afresh.sensors.folders.scan import Listing, Place, list_folder, place_of


def scan(top: Path, *, recursive: bool = True, skip: tuple[str, ...] = ()) -> Listing:
    return list_folder(
        os.fspath(top),
        recursive=recursive,
        skip=skip,
        inside=(os.fspath(top),),
        enter=lambda _path, _place: None,
    )


def test_it_finds_files_and_enters_folders_before_listing_them(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for name in ("1", "a/2", "a/b/3", "a/.hidden", "a/x.tmp"):
        (tmp_path / name).touch()
    entered: list[str] = []

    def enter(path: str, place: Place) -> None:
        entered.append(path)
        assert place == place_of(path)
        (Path(path) / "late").touch()

    listing = list_folder(os.fspath(tmp_path), recursive=True, skip=(), inside=(), enter=enter)
    found = {os.path.relpath(path, tmp_path) for path in listing.files}
    assert found == {"1", "a/2", "a/b/3", "late", "a/late", "a/b/late"}
    assert set(listing.folders) == set(entered)


def test_it_stays_out_of_what_is_skipped_temporary_or_linked(tmp_path: Path) -> None:
    for name in ("skipped", ".git", "x.part", "plain"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    (tmp_path / "link").symlink_to("plain")
    (tmp_path / "plain" / "up").symlink_to(tmp_path)
    listing = scan(tmp_path, skip=(os.fspath(tmp_path / "skipped"),))
    assert [os.path.relpath(path, tmp_path) for path in listing.files] == ["plain/file"]


def test_without_recursion_only_the_folder_itself_is_listed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1").touch()
    (tmp_path / "2").touch()
    assert [Path(path).name for path in scan(tmp_path, recursive=False).files] == ["2"]


def test_a_top_that_is_no_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        scan(tmp_path / "file")
    with pytest.raises(FileNotFoundError):
        scan(tmp_path / "absent")


def test_a_folder_that_vanishes_meanwhile_is_not_in_it(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "1").touch()

    def enter(path: str, _: Place) -> None:
        if path.endswith("/a"):
            Path(path).rmdir()

    listing = list_folder(os.fspath(tmp_path), recursive=True, skip=(), inside=(), enter=enter)
    assert list(listing.folders) == [os.fspath(tmp_path)]


def test_a_folder_that_cannot_be_listed_makes_no_listing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    whole = os.scandir

    def scandir(path: str) -> object:
        if path.endswith("/a"):
            raise PermissionError(13, "Permission denied", path)
        return whole(path)

    monkeypatch.setattr("afresh.sensors.folders.scan.os.scandir", scandir)
    with pytest.raises(PermissionError):
        scan(tmp_path)
