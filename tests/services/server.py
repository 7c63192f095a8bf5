"""A server as a process of its own, on a free loopback port, that ends with the tests."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from services.missing import Missing

START_SECONDS = 90.0
# Nothing outlives the tests, however they end. Asked for by a program that then becomes the server:
# code of ours between fork and exec could wait for a lock that a thread of ours held at the fork.
_DIE_WITH_PARENT = """
import ctypes, os, sys
PR_SET_PDEATHSIG, SIGKILL = 1, 9
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL)
if os.getppid() == int(sys.argv[1]):
    os.execvp(sys.argv[2], sys.argv[2:])
"""
# The signal comes when the thread ends that started the process: one that lives as long as we do.
_starter = ThreadPoolExecutor(1, "server")


def launch(
    command: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None
) -> "subprocess.Popen[bytes]":
    """Start a process that ends with this one, in the folder of its log."""
    with log.open("ab") as output:
        return _starter.submit(
            subprocess.Popen,
            [sys.executable, "-ISc", _DIE_WITH_PARENT, str(os.getpid()), *command],
            cwd=log.parent,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        ).result()


def listens(port: int) -> bool:
    """Say whether somebody accepts connections at a port of the loopback interface."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


class Server:
    """One process; `ready` says whether it serves. What it prints is in `log`."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        port: int,
        log: Path,
        environment: Mapping[str, str] | None = None,
        ready: Callable[[int], bool] = listens,
    ) -> None:
        self.port = port
        self._process = launch(command, log=log, environment=environment)
        until = time.monotonic() + START_SECONDS
        while not ready(port):
            if self._process.poll() is not None or time.monotonic() > until:
                self.stop()
                said = log.read_text(errors="replace")[-1000:]
                raise Missing(f"{Path(command[0]).name} did not start: {said}")
            time.sleep(0.05)

    @property
    def address(self) -> str:
        """Where it listens, as `host:port`."""
        return f"127.0.0.1:{self.port}"

    def stop(self) -> None:
        """End it, and all that it started."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
