"""The project's files by hash: a generation runs from a copy that nobody edits.

So a version never names code that did not make it. Copied are all Python files below the project
and its settings, not what is hidden, installed, or data.
"""
# Paths are strings: names need not be UTF-8, and the command line hashes at each call.
# ruff: noqa: PTH103, PTH104, PTH112, PTH113, PTH118, PTH120, PTH123

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence

from afresh.assets.errors import StorageUnavailable, UsageError

SETTINGS = ("afresh.toml", "pyproject.toml")
_SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages"})


def digest_of(project: str, state: str = ".afresh") -> str:
    """Hash the project's files as they are now; `state` is the state folder, which is left out.

    Raises UsageError for a file that cannot be read.
    """
    return _digest(_files(project, state))


def code_folders(project: str, state: str = ".afresh") -> list[str]:
    """Return the project's folder and those below it that hold code: absolute paths."""
    project = os.path.realpath(project)
    names = (name for name, _ in _files(project, state))
    folders = {os.path.dirname(os.path.join(project, name)) for name in names}
    return sorted(folders | {project})


def take(project: str, state: str = ".afresh") -> tuple[str, str]:
    """Copy the project's files to `<state>/snapshots/<digest>`; give the digest and that folder.

    The copy appears complete or not at all. One that is there and is damaged is replaced.
    Raises UsageError for a file that cannot be read, StorageUnavailable when there is no room.
    """
    project = os.path.realpath(project)
    folder = os.path.join(project, state, "snapshots")
    files = list(_files(project, state))
    digest = _digest(iter(files))
    target = os.path.join(folder, digest)
    try:
        if os.path.isdir(target):
            if _digest(_files(target, "")) == digest:
                return digest, target
            shutil.rmtree(target)
        _copy(files, folder, target)
    except OSError as error:
        raise StorageUnavailable(
            f"Expected to copy the project's files to {target!r}, found: {error.strerror or error}",
            hint="make room, or check the folder's permissions",
        ) from error
    return digest, target


def _copy(files: Sequence[tuple[str, bytes]], folder: str, target: str) -> None:
    os.makedirs(folder, mode=0o700, exist_ok=True)
    made = tempfile.mkdtemp(prefix=".new-", dir=folder)
    try:
        for name, content in files:
            path = os.path.join(made, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "xb") as file:
                file.write(content)
        _publish(made, target)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _publish(made: str, target: str) -> None:
    try:
        os.rename(made, target)
    except OSError:
        # Somebody was faster: the name is a hash, so theirs is ours.
        if not os.path.isdir(target):
            raise


def _digest(files: Iterator[tuple[str, bytes]]) -> str:
    whole = hashlib.blake2b(digest_size=16)
    for name, content in files:
        encoded = os.fsencode(name)
        whole.update(b"%d %d " % (len(encoded), len(content)))
        whole.update(encoded)
        whole.update(content)
    return whole.hexdigest()


def _files(project: str, state: str) -> Iterator[tuple[str, bytes]]:
    """Read the files in the order of their names: (path relative to the project, content)."""
    project = os.path.realpath(project)
    state = os.path.realpath(os.path.join(project, state)) if state else ""
    for name in SETTINGS:
        content = _content(os.path.join(project, name), name)
        if content is not None:
            yield name, content
    yield from _below(project, "", state, (project,))


def _below(
    folder: str, prefix: str, state: str, above: tuple[str, ...]
) -> Iterator[tuple[str, bytes]]:
    try:
        with os.scandir(folder) as scan:
            entries = sorted(
                (e for e in scan if not e.name.startswith(".") and _concerns(e)),
                key=lambda entry: entry.name,
            )
    except OSError:
        # A folder that cannot be listed holds nothing that could be imported.
        return
    for entry in entries:
        if entry.name.endswith(".py"):
            content = _content(entry.path, prefix + entry.name)
            if content is not None:
                yield prefix + entry.name, content
                continue
        if not entry.is_dir() or not _holds_code(entry, state, above):
            continue
        real = os.path.realpath(entry.path)
        yield from _below(entry.path, f"{prefix}{entry.name}/", state, (*above, real))


def _concerns(entry: os.DirEntry[str]) -> bool:
    return entry.name.endswith(".py") or entry.is_dir()


def _holds_code(entry: os.DirEntry[str], state: str, above: tuple[str, ...]) -> bool:
    """Tell folders that may hold modules from the state, environments, data and loops of links."""
    path = entry.path
    if entry.name in _SKIPPED or not entry.name.isidentifier():
        return False
    package = os.path.isfile(os.path.join(path, "__init__.py"))
    if (entry.name == "data" or entry.is_symlink()) and not package:
        return False
    if os.path.isfile(os.path.join(path, "pyvenv.cfg")):
        return False
    real = os.path.realpath(path)
    return real != state and real not in above


def _content(path: str, name: str) -> bytes | None:
    """Read one file; None when it is gone, or is none."""
    if not os.path.isfile(path):
        return None
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(
            f"Expected to read {name!r}, found: {error}",
            hint="make it readable for the user who runs afresh, or move it out of the project",
            where=name,
        ) from error
