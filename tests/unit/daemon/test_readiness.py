"""What the service manager is told, over a real datagram socket."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from afresh.daemon import readiness


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "notify"))
        server.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield server


def test_ready_carries_a_status(manager: socket.socket) -> None:
    assert readiness.ready("watching 5 sources")
    assert manager.recv(1024) == b"READY=1\nSTATUS=watching 5 sources"


def test_a_status_of_several_lines_cannot_forge_another_message(manager: socket.socket) -> None:
    readiness.ready("one\nSTOPPING=1")
    assert manager.recv(1024) == b"READY=1\nSTATUS=one STOPPING=1"


def test_stopping_and_alive(manager: socket.socket) -> None:
    assert readiness.stopping()
    assert readiness.alive()
    assert [manager.recv(1024), manager.recv(1024)] == [b"STOPPING=1", b"WATCHDOG=1"]


def test_an_abstract_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"afresh-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(f"\0{name}")
        server.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        assert readiness.ready()
        assert server.recv(1024) == b"READY=1"


def test_without_a_manager_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not readiness.ready("watching")


def test_a_manager_that_is_gone_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    assert not readiness.ready()


@pytest.mark.parametrize(
    ("usec", "pid", "expected"),
    [
        ("10000000", "own", 5.0),
        ("10000000", None, 5.0),
        ("10000000", "1", None),
        (None, None, None),
        ("soon", None, None),
        ("0", None, None),
    ],
)
def test_how_often_the_manager_wants_to_hear(
    monkeypatch: pytest.MonkeyPatch, usec: str | None, pid: str | None, expected: float | None
) -> None:
    pid = str(os.getpid()) if pid == "own" else pid
    for name, value in (("WATCHDOG_USEC", usec), ("WATCHDOG_PID", pid)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert readiness.alive_interval_seconds() == expected
