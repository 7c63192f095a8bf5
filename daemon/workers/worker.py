"""A worker process: does one task after the other, and is thrown away when one left traces.

Forked by a generation server with the definitions loaded, or executed where those start threads.
"""

import faulthandler
import gc
import logging
import os
import resource
import select
import socket
import sys
import time
from io import TextIOWrapper
from typing import Any

import msgspec

from afresh.assets.manifest import Manifest
from afresh.daemon.workers import definitions, wire
from afresh.daemon.workers.execute import execute
from afresh.daemon.workers.hygiene import Hygiene
from afresh.daemon.workers.linux import adopt_orphans, end_with_parent, offer_to_oom_killer
from afresh.daemon.workers.live import Loaded
from afresh.daemon.workers.task import Failed, Result
from afresh.daemon.workers.warm import warm

_IDLE_MILLISECONDS = 500


def work(loaded: Loaded, plan: wire.Plan, parent: int, tasks: int, output: int) -> None:
    """Be a worker until the daemon hangs up. Never returns: threads of user code end, too."""
    os.setsid()
    end_with_parent(parent)
    adopt_orphans()
    offer_to_oom_killer()
    sock = socket.socket(fileno=tasks)
    _take_output(output)
    # Over-allocation is a MemoryError here, not a killed machine.
    resource.setrlimit(resource.RLIMIT_DATA, (plan.memory_bytes, plan.memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warm()
    hygiene = Hygiene()
    wire.send(sock, wire.Ready())
    while (body := _next(sock)) is not None:
        _do(sock, loaded, plan, hygiene, body)
    _end(0)


def load_plan(plan: wire.Plan) -> Loaded:
    """Load the definitions of a plan in this process."""
    parameters = msgspec.json.decode(plan.parameters, type=dict[str, dict[str, Any]])
    kept = msgspec.msgpack.decode(plan.last_good, type=Manifest) if plan.last_good else None
    return definitions.load(plan.snapshot, plan.modules, parameters, plan.digest, last_good=kept)


def _do(
    sock: socket.socket, loaded: Loaded, plan: wire.Plan, hygiene: Hygiene, body: bytes
) -> None:
    hygiene.prepare()
    started = time.perf_counter()
    gate = _Gate(sock)
    result, retire = execute(wire.decode_task(body), loaded, plan, gate.pass_through)
    result = msgspec.structs.replace(result, seconds=time.perf_counter() - started)
    retire = hygiene.clean() or retire
    try:
        frame = wire.encode(wire.Answer(result, retire))
    except UnicodeEncodeError as error:
        failed = Failed("raised", f"Expected text in what a run says of itself, found: {error}")
        frame = wire.encode(wire.Answer(Result(result.run, failed=failed), retire))
    gate.pass_through()
    sock.sendall(frame)
    if retire:
        _end(0)


class _Gate:
    """Where a task waits until its run is recorded; what it reads need not wait for that."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._open = False

    def pass_through(self) -> None:
        """Return when the daemon has said so; end where it no longer can."""
        if not self._open:
            if wire.receive(self._sock) is None:
                _end(0)
            self._open = True


def _next(sock: socket.socket) -> bytes | None:
    """Wait for a task; tidy up when none comes for a while."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    if not poll.poll(_IDLE_MILLISECONDS):
        gc.collect()
    received = wire.receive(sock)
    return received[0] if received is not None else None


def _take_output(output: int) -> None:
    """Make the pipe standard output and error, in order: lines go out as they are written."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(output)
    sys.stdout = sys.__stdout__ = _text(1)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _text(2)  # type: ignore[misc]
    faulthandler.enable()
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        force=True,
    )


def _text(number: int) -> TextIOWrapper:
    file = open(number, "wb", closefd=False)  # noqa: SIM115 - kept open
    return TextIOWrapper(file, "utf-8", "backslashreplace", line_buffering=True)


def _end(code: int) -> None:
    """End at once: no exit handlers, no waiting for threads of user code."""
    os._exit(code)


def main(plan_text: str, parent: int, tasks: int, output: int) -> None:
    """Load the definitions here, as an executed worker must."""
    end_with_parent(parent)
    plan = msgspec.json.decode(plan_text, type=wire.Plan)
    os.set_inheritable(tasks, False)
    os.set_inheritable(output, False)
    work(load_plan(plan), plan, parent, tasks, output)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]))
