"""When the machine has no room for one more process: what is there goes on."""

import errno
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from afresh.assets.manifest import Manifest
from afresh.daemon.workers import base, generation, wire
from afresh.daemon.workers.live import Loaded

PLAN = wire.Plan("digest", "", (), "{}", "/project", "/project/.afresh", 0)


@pytest.fixture(autouse=True)
def _no_more_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    def fork() -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(os, "fork", fork)


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def said(sock: socket.socket) -> wire.FromGeneration:
    received = wire.receive(sock)
    assert received is not None
    told: wire.FromGeneration = wire.decode_from_generation(received[0])
    return told


def test_a_worker_that_is_not_forked_ends_at_once(
    sockets: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = sockets
    nobody: Any = None
    server = generation._Server(theirs, nobody, PLAN, Loaded(Manifest("digest")), executes=False)
    tasks, output = socket.socketpair(), os.pipe()
    server._start(7, tasks[1].detach(), output[1])
    assert said(ours) == wire.Ended(7, 256)
    assert server.workers == server.watched == {}
    assert b"temporarily unavailable" in os.read(output[0], 1000)
    assert tasks[0].recv(1) == b"", "nobody has the other end"
    tasks[0].close()
    os.close(output[0])


def test_a_generation_that_is_not_forked_is_told_and_the_base_goes_on(
    sockets: tuple[socket.socket, socket.socket], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = sockets
    (tmp_path / "pipeline.py").write_text("import polars\n")
    (tmp_path / "broken_library.py").write_text("raise RuntimeError('no such processor')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(base, "_POLARS", ("broken_library",))
    monkeypatch.delitem(sys.modules, "polars", raising=False)
    plan = msgspec.structs.replace(PLAN, snapshot=str(tmp_path))
    nobody: Any = None
    assert base._fork(wire.Load(plan, "log"), theirs.detach(), nobody, nobody) == 0
    assert said(ours) == wire.Unloadable(
        "BlockingIOError: [Errno 11] Resource temporarily unavailable"
    )
    assert ours.recv(1) == b"", "nobody has the other end"
