"""What the fast paths import: a module too many costs every start of the command."""

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from afresh.daemon.api.wire import HEADER, encode, size_of, socket_path

# Beyond what `python -c pass` imports. The standard library is not listed but for what is slow.
OURS = {
    "afresh",
    "afresh.assets",
    "afresh.assets.duration",
    "afresh.assets.errors",
    "afresh.assets.manifest",
    "afresh.assets.nearest",
    "afresh.assets.planner",
    "afresh.assets.planner.segments",
    "afresh.assets.planner.view",
    "afresh.assets.policy",
    "afresh.assets.size",
    "afresh.daemon",
    "afresh.daemon.api",
    "afresh.daemon.api.client",
    "afresh.daemon.api.view",
    "afresh.daemon.api.wire",
    "afresh.daemon.cli",
    "afresh.daemon.cli.call",
    "afresh.daemon.cli.output",
    "afresh.daemon.cli.root",
    "afresh.daemon.cli.status",
    "afresh.daemon.config",
    "afresh.daemon.config_values",
}
OTHERS = {"click", "msgspec", "typing_extensions"}  # the last is what msgspec asks for
SLOW = {
    "sqlite3", "asyncio", "anyio", "multiprocessing", "ssl", "email", "unittest", "logging",
    "importlib.metadata", "argparse", "difflib", "subprocess", "tempfile", "zipfile", "http",
}  # fmt: skip


def imported(arguments: list[str]) -> set[str]:
    """Run a command in a new interpreter; the modules that it has imported by its end."""
    code = (
        "import json, sys\n"
        "from afresh.daemon.cli import main\n"
        f"sys.argv = ['afresh', *{arguments!r}]\n"
        "code = main()\n"
        "sys.stderr.write(json.dumps(sorted(sys.modules)))\n"
        "sys.exit(code)"
    )
    # A variable that may be a misspelt setting is looked up, with what that takes.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AFRESH_")}
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, env=clean
    )
    return set(json.loads(done.stderr))


def test_the_version_imports_nothing() -> None:
    modules = imported(["--version"])
    assert {m for m in modules if m.startswith("afresh")} == {
        "afresh",
        "afresh.daemon",
        "afresh.daemon.cli",
    }
    assert not modules & {"click", "msgspec", *SLOW}


def test_status_from_a_daemon_imports_click_and_msgspec_alone(tmp_path: Path) -> None:
    (tmp_path / "afresh.toml").write_text("")
    (tmp_path / ".afresh").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(socket_path(str(tmp_path / ".afresh")))
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                size = size_of(connection.recv(HEADER, socket.MSG_WAITALL))
                connection.recv(size, socket.MSG_WAITALL)
                connection.sendall(encode({"id": "q", "result": []}))

        daemon = threading.Thread(target=answer, daemon=True)
        daemon.start()
        modules = imported(["status", "--json", "--project", str(tmp_path)])
        daemon.join()
    assert {m for m in modules if m.split(".")[0] == "afresh"} <= OURS
    packages = {module.split(".")[0] for module in modules} - set(sys.stdlib_module_names)
    # What is installed as editable brings finders of its own.
    found = {p for p in packages if not p.startswith("_")} - {"afresh"}
    assert found == OTHERS
    assert modules & SLOW == set()


@pytest.mark.parametrize("command", [["status"], ["versions", "x"], ["runs"], ["why", "x"]])
def test_reading_offline_imports_no_data_library_and_no_event_loop(
    tmp_path: Path, command: list[str]
) -> None:
    from support.commands import project_with_story

    names = [{"x": "total"}.get(word, word) for word in command]
    modules = imported([*names, "--project", str(project_with_story(tmp_path))])
    heavy = {"pandas", "polars", "pyarrow", "numpy", "pandera", "sqlalchemy", "sqlmodel"}
    assert not modules & (heavy | {"anyio", "asyncio", "pydantic", "rich"})
