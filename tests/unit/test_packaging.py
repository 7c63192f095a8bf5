"""setuptools cannot find renamed packages: what is listed, lies there and is built must agree."""

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path, PurePosixPath

import pytest

import afresh

ROOT = Path(__file__).parents[2]
TOPS = ("assets", "sensors", "storage", "daemon")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def modules() -> set[PurePosixPath]:
    """Every module of the code folders, under the name that it is installed as."""
    found = {
        PurePosixPath("afresh", path.relative_to(ROOT).as_posix())
        for top in TOPS
        for path in (ROOT / top).rglob("*.py")
    }
    return found | {PurePosixPath("afresh/__init__.py")}


def test_the_listed_packages_are_the_folders() -> None:
    folders = {".".join(path.parent.parts) for path in modules()}
    assert sorted(PROJECT["tool"]["setuptools"]["packages"]) == sorted(folders)


def test_every_folder_with_code_is_a_package() -> None:
    found = modules()
    assert {path.parent for path in found if path.parent / "__init__.py" not in found} == set()


@pytest.mark.parametrize("top", TOPS)
def test_the_code_folders_are_linked_below_afresh(top: str) -> None:
    link = ROOT / "afresh" / top
    assert link.is_symlink()
    assert link.readlink() == Path("..", top)


def test_the_facade_and_the_metadata_agree_on_the_version() -> None:
    assert PROJECT["project"]["version"] == afresh.__version__


def test_the_facade_offers_what_it_says() -> None:
    for name in afresh.__all__:
        assert getattr(afresh, name) is not None
    with pytest.raises(AttributeError, match="nonesuch"):
        _ = afresh.nonesuch


@pytest.mark.e2e
def test_the_wheel_holds_every_module_and_its_data(tmp_path: Path) -> None:
    # A copy: what an earlier build left in build/ would end up in the wheel.
    copy = tmp_path / "project"
    for folder in ("afresh", *TOPS):
        shutil.copytree(ROOT / folder, copy / folder, symlinks=True)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"),
            *("--no-build-isolation", "-w", tmp_path, copy),  # .ci/run builds one in isolation
        ],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("afresh-*.whl")
    with zipfile.ZipFile(wheel) as opened:
        names = {PurePosixPath(name) for name in opened.namelist()}
    assert modules() <= names
    assert PurePosixPath("afresh/py.typed") in names
    (license_file,) = (name for name in names if name.name == "LICENSE")
    assert license_file.parts[0].endswith(".dist-info")
    strays = {n for n in names if n.parts[0] != "afresh" and not n.parts[0].endswith(".dist-info")}
    assert strays == set()


def test_lint_exceptions_have_a_reason() -> None:
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    start = lines.index("ignore = [") + 1
    end = lines.index("]", start)
    assert [line for line in lines[start:end] if "#" not in line] == []
