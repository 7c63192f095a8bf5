"""The settings of a project: `afresh.toml` or `[tool.afresh]` in `pyproject.toml`, then `AFRESH_*`.

On the command line's fast path: nothing heavy is imported here.
"""
# Paths are strings: pathlib is slow to import.
# ruff: noqa: PTH113, PTH118, PTH119, PTH120, PTH123

import os
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from afresh.assets.errors import UsageError
from afresh.assets.nearest import did_you_mean, nearest
from afresh.daemon.config_values import PLAIN, READERS

FILE = "afresh.toml"
PYPROJECT = "pyproject.toml"
PREFIX = "AFRESH_"

_DAY = 86400.0


class Settings(msgspec.Struct, frozen=True):
    """What a project is set to. All paths are absolute; `artifacts` may be a URL."""

    project: str
    file: str
    """The file that the settings are from, relative to the project."""
    definitions: tuple[str, ...] = ("pipeline",)
    """Modules beside that file."""
    state: str = ""
    ledger: str = ""
    artifacts: str = ""
    workers: int = 1
    max_wait_seconds: float = 1.0
    """How long a run waits at most for work that will change what it reads."""
    scan_interval_seconds: float = 60.0
    keep_rejected_seconds: float = 30 * _DAY
    new_rows: int = 1_000_000
    new_bytes: int = 256 << 20
    """What one run is given at most of a stream's new rows."""
    dead_letters: int = 100_000
    dead_letter_bytes: int = 256 << 20
    """Records that could not be published, of each source: of more the oldest are dropped."""
    most_pending: int = 100_000
    """Units of a source that are recorded and not read, before its sensor has to wait."""
    http: str = ""
    """Where the HTTP server listens, `host:port`; "" is 127.0.0.1:8787, once a webhook needs it."""
    name: str = ""
    """What this project is called where it tells others of its versions; its folder's name."""
    outgoing: tuple[dict[str, Any], ...] = ()
    """Tables of targets that are told of each committed version: `kind`, `select`, and its own."""
    alerts: tuple[dict[str, Any], ...] = ()
    """Tables of notifiers: `kind`, and what that kind needs."""
    parameters: dict[str, dict[str, Any]] = {}
    """Values of functions' parameters, by asset."""


def find_project(start: str) -> str:
    """Search upward for the folder with the settings. Raises UsageError when there is none."""
    folder = os.path.realpath(start)
    while True:
        if has_settings(folder):
            return folder
        above = os.path.dirname(folder)
        if above == folder:
            raise UsageError(
                f"Expected {FILE} or [tool.afresh] in {start!r} or a folder above, found none",
                hint="run `afresh init` to begin a project, or say where it is with --project DIR",
            )
        folder = above


def has_settings(folder: str) -> bool:
    """Tell whether this folder is a project."""
    if os.path.isfile(os.path.join(folder, FILE)):
        return True
    try:
        text = _read(os.path.join(folder, PYPROJECT))
    except UsageError:
        return False
    return "afresh" in text and _tool_table(text, os.path.join(folder, PYPROJECT)) is not None


def load_settings(project: str, environ: Mapping[str, str]) -> Settings:
    """Read a project's settings. Raises UsageError, with the line, for what is wrong."""
    project = os.path.realpath(project)
    file, text, table = _table(project)
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in READERS:
            raise UsageError(
                f"Expected a setting, found {key!r}",
                hint=did_you_mean(key, READERS, f"there are: {', '.join(READERS)}"),
                where=f"{file}:{line_of(text, key)}",
            )
        values[key] = _value(key, value, f"{file}:{line_of(text, key)}")
    for key, raw in _from_environment(environ).items():
        values[key] = _value(key, raw, f"{PREFIX}{key.upper()}")
    return _complete(project, file, values)


def line_of(text: str, key: str, table: str = "") -> int:
    """Find the line of a key or table in TOML text; 1 when it is not plain to see."""
    name = re.escape(key)
    header = re.compile(rf"""\s*\[+\s*(tool\.afresh\.)?["']?{name}["']?\s*[.\]]""")
    assignment = re.compile(rf"""\s*["']?{name}["']?\s*[.=]""")
    within = not table
    for number, line in enumerate(text.splitlines(), 1):
        if table and line.lstrip().startswith("["):
            within = table in line
        if within and (assignment.match(line) or (not table and header.match(line))):
            return number
    return line_of(text, table) if table else 1


def _table(project: str) -> tuple[str, str, dict[str, Any]]:
    """Read the file, its text and its settings."""
    own = os.path.join(project, FILE)
    shared = os.path.join(project, PYPROJECT)
    tool = None
    if os.path.isfile(shared) and "afresh" in (text := _read(shared)):
        tool = _tool_table(text, shared)
    if os.path.isfile(own):
        if tool is not None:
            raise UsageError(
                f"Expected settings in one file, found {FILE} and [tool.afresh] in {PYPROJECT}",
                hint="keep one of the two",
                where=shared,
            )
        text = _read(own)
        return FILE, text, _parse(text, own)
    if tool is None:
        raise UsageError(
            f"Expected {FILE} or [tool.afresh] in {project!r}, found neither",
            hint="run `afresh init` to begin a project, or say where it is with --project DIR",
        )
    return PYPROJECT, text, tool


def _tool_table(text: str, path: str) -> dict[str, Any] | None:
    tool = _parse(text, path).get("tool")
    table = tool.get("afresh") if isinstance(tool, dict) else None
    return table if isinstance(table, dict) else None


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"Expected to read {path!r} as UTF-8, found: {error}",
            hint="settings are TOML text that the user who runs afresh can read",
            where=path,
        ) from error


def _parse(text: str, path: str) -> dict[str, Any]:
    # Lazy: only who loads settings pays for it.
    import tomllib  # noqa: PLC0415

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        line = found[1] if found else len(text.splitlines())
        raise UsageError(
            f"Expected TOML, found: {error}",
            hint="see https://toml.io",
            where=f"{os.path.basename(path)}:{line}",
        ) from error


def _from_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Give the settings among the environment; a near miss is an error, what is not ours is not."""
    found = {}
    for name, value in environ.items():
        if not name.startswith(PREFIX):
            continue
        key = name.removeprefix(PREFIX).lower()
        if key in PLAIN:
            found[key] = value
        elif (near := nearest(key, PLAIN)) and abs(len(near) - len(key)) <= 1:
            raise UsageError(
                f"Expected a setting, found the environment variable {name}",
                hint=f"did you mean {PREFIX}{near.upper()}?",
                where=name,
            )
    return found


def _value(key: str, value: Any, where: str) -> Any:
    try:
        return READERS[key](value)
    except UsageError as error:
        raise UsageError(error.error, hint=error.hint, where=where) from error
    except ValueError as error:
        raise UsageError(str(error), hint=f"this is the setting {key!r}", where=where) from error


def _complete(project: str, file: str, values: dict[str, Any]) -> Settings:
    """Make paths absolute and fill in what is not set."""
    state = _below(project, values.get("state", ".afresh"))
    if os.path.commonpath([project, state]) == state:
        raise UsageError(
            f"Expected a folder of its own for state, found {state!r}",
            hint='the default is state = ".afresh"',
            where=file,
        )
    return Settings(
        project=project,
        file=file,
        definitions=values.get("definitions", ("pipeline",)),
        state=state,
        ledger=_below(project, values.get("ledger", os.path.join(state, "ledger.sqlite"))),
        artifacts=_below(project, values.get("artifacts", os.path.join(state, "artifacts"))),
        workers=values.get("workers") or len(os.sched_getaffinity(0)),
        max_wait_seconds=values.get("max_wait", 1.0),
        scan_interval_seconds=values.get("scan_interval", 60.0),
        keep_rejected_seconds=values.get("keep_rejected", 30 * _DAY),
        new_rows=values.get("new_rows", 1_000_000),
        new_bytes=values.get("new_bytes", 256 << 20),
        dead_letters=values.get("dead_letters", 100_000),
        dead_letter_bytes=values.get("dead_letter_bytes", 256 << 20),
        most_pending=values.get("most_pending", 100_000),
        http=values.get("http", ""),
        name=values.get("name") or os.path.basename(project),
        outgoing=values.get("outgoing", ()),
        alerts=values.get("alerts", ()),
        parameters=values.get("parameters", {}),
    )


def _below(project: str, path: str) -> str:
    return path if "://" in path else os.path.normpath(os.path.join(project, path))
