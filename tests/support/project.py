"""A project in a folder, its daemon as a real process, and its ledger as an observer sees it."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from support.processes import with_descendants

AFRESH = str(Path(sys.executable).with_name("afresh"))
READY_SECONDS = 60.0


@dataclass
class Project:
    """A folder with `afresh.toml` and `pipeline.py`."""

    folder: Path
    command: str = AFRESH

    @classmethod
    def make(cls, folder: Path, pipeline: str, settings: str = "") -> Self:
        """Write the definitions and settings; `settings` is TOML text."""
        (folder / "landing").mkdir(parents=True)
        (folder / "pipeline.py").write_text(pipeline)
        (folder / "afresh.toml").write_text('definitions = ["pipeline"]\n' + settings)
        return cls(folder)

    @property
    def state(self) -> Path:
        """Where the ledger and the artifacts are."""
        return self.folder / ".afresh"

    def run(
        self, *command: str, check: bool = True, timeout: float = 240
    ) -> subprocess.CompletedProcess[str]:
        """Run an afresh command in this project."""
        done = subprocess.run(
            [self.command, *command, "--project", str(self.folder)],
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        if check and done.returncode != 0:
            told = f"{' '.join(command)} exited with {done.returncode}\n{done.stdout}{done.stderr}"
            raise RuntimeError(told)
        return done

    def json(self, *command: str) -> Any:
        """Run a command that reports, and read what it prints as JSON."""
        return json.loads(self.run(*command, "--json").stdout)

    def start(self) -> "Daemon":
        """Start `afresh up` and wait until it watches."""
        log = self.folder / "up.log"
        with log.open("ab") as output:
            begin = output.tell()
            process = subprocess.Popen(
                [self.command, "up", "--project", str(self.folder)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        daemon = Daemon(self, process, log, begin)
        daemon.wait_ready()
        return daemon

    @contextmanager
    def running(self) -> Iterator["Daemon"]:
        """Have the daemon run meanwhile; it is gone afterwards, whatever happens."""
        daemon = self.start()
        try:
            yield daemon
            daemon.stop()
        finally:
            daemon.kill()

    def ledger(self) -> sqlite3.Connection:
        """Open the ledger as a reader. Close it."""
        uri = f"file:{self.state / 'ledger.sqlite'}?mode=ro"
        return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=10)

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Read from the ledger once."""
        with closing(self.ledger()) as connection:
            return connection.execute(sql, parameters).fetchall()

    def wait_for(self, sql: str, *parameters: Any, timeout: float = 60.0) -> float:
        """Poll the ledger until the query gives a true value; return the monotonic time then."""
        deadline = time.monotonic() + timeout
        with closing(self.ledger()) as connection:
            while True:
                (value,) = connection.execute(sql, parameters).fetchone()
                now = time.monotonic()
                if value:
                    return now
                if now > deadline:
                    raise TimeoutError(f"not within {timeout:g} s: {sql} {parameters}")
                time.sleep(0.0005)


@dataclass
class Daemon:
    """A running `afresh up`."""

    project: Project
    process: "subprocess.Popen[bytes]"
    log: Path
    begin: int = 0
    ended: bool = field(default=False)

    @property
    def pid(self) -> int:
        """The daemon's process; it leads its own group."""
        return self.process.pid

    def output(self) -> str:
        """Read what it printed so far."""
        return self.log.read_bytes()[self.begin :].decode(errors="replace")

    def wait_ready(self) -> None:
        """Wait for the line that begins with `ready`."""
        deadline = time.monotonic() + READY_SECONDS
        while not any(line.startswith("ready") for line in self.output().splitlines()):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"afresh up was not ready:\n{self.output()}")
            time.sleep(0.01)

    def stop(self, timeout: float = 60.0) -> int:
        """End it with SIGTERM; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def kill(self) -> None:
        """Kill the daemon process alone, as a crash would; its workers end by themselves."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def tree(self) -> list[int]:
        """List the daemon and all processes below it."""
        return with_descendants(self.pid)


IMPATIENT = """#!{python}
import sys
from afresh.daemon.cli import main
import {module} as module
module.{name} = {value}
sys.exit(main())
"""


def command_with(path: Path, module: str, name: str, value: float) -> str:
    """Make an `afresh` of which one constant is another: what waits for long need not in tests."""
    path.write_text(IMPATIENT.format(python=sys.executable, module=module, name=name, value=value))
    path.chmod(0o755)
    return str(path)


def rename_in(path: Path, content: str | bytes) -> float:
    """Write under a temporary name and rename; the monotonic time just before the rename."""
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content.encode() if isinstance(content, str) else content)
    now = time.monotonic()
    part.replace(path)
    return now
