"""A server of S3 and SQS that has many objects, as a process that a measure starts."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from services.ports import free_port
from services.server import listens
from services.stores import CREDENTIALS


class Lake:
    """The running server, and its log of what it changed and told of."""

    def __init__(self, port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        self._process = process
        self._log = log

    def go(self) -> None:
        """Let it change what is to be changed."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"go\n")
        self._process.stdin.flush()

    @property
    def ended(self) -> bool:
        """Whether all is changed and told."""
        return self._log.exists() and b'"end"' in self._log.read_bytes()[-60:]

    def changes(self) -> list[dict[str, Any]]:
        """Give each change: `key`, `etag` ("": a deletion), `at`, `sent_at` (None: it was lost)."""
        lines = [json.loads(line) for line in self._log.read_text().splitlines()]
        return [line for line in lines if "key" in line]


@contextmanager
def running_lake(folder: Path, count: int, rate: float, share: float) -> Iterator[Lake]:
    """Have it run meanwhile, with so many objects, a share of which it will change."""
    os.environ.update(CREDENTIALS)
    port = free_port()
    folder.mkdir(exist_ok=True)
    log = folder / "changes.jsonl"
    command = [sys.executable, "-m", "benchmarks.lake_server", str(port), str(count)]
    command += [str(rate), str(share), str(log)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        try:
            while not listens(port):
                if process.poll() is not None:
                    raise RuntimeError("the server ended")
                time.sleep(0.1)
            yield Lake(port, process, log)
        finally:
            process.kill()
