"""The local socket, both ends: the blocking client against the real server."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import anyio.to_thread
import pytest

from afresh.assets.errors import AfreshError, LedgerUnavailable, UsageError
from afresh.daemon.api.client import connect
from afresh.daemon.api.local import Requests, serve
from afresh.daemon.api.wire import encode, private_folder, socket_path
from support.ledgers import ledger_file
from support.views import FakeControls, FakeView, looks

pytestmark = pytest.mark.anyio

LINES: list[dict[str, Any]] = [
    {"type": "event", "seq": 1, "uri": "a\udcff"},
    {"type": "run", "run": "r1"},
    {"type": "missed", "count": 2},
]


@asynccontextmanager
async def listening(
    state: Path, controls: FakeControls, requests: Requests | None = None
) -> AsyncIterator[FakeView]:
    view = FakeView(ledger_file(state), [looks("total"), looks("daily", "k1", "failed", None)])
    async with anyio.create_task_group() as group:
        requests = requests or Requests()
        await group.start(serve, socket_path(str(state)), view, controls, requests)
        yield view
        group.cancel_scope.cancel()


async def asked(state: Path, ask: Callable[[Any], Any]) -> Any:
    """Use a client in a thread, as a command does in a process of its own."""

    def use() -> Any:
        client = connect(str(state))
        assert client is not None
        try:
            return ask(client)
        finally:
            client.close()

    return await anyio.to_thread.run_sync(use)


async def test_an_operation_is_answered(tmp_path: Path) -> None:
    async with listening(tmp_path, FakeControls()):
        rows = await asked(
            tmp_path, lambda client: client.ask("status", {"selection": "total"}, request="q")
        )
    assert [row["asset"] for row in rows] == ["total"]


async def test_a_change_carries_its_request(tmp_path: Path) -> None:
    controls = FakeControls()
    async with listening(tmp_path, controls):
        await asked(tmp_path, lambda client: client.ask("cancel", {"run": "r1"}, request="q7"))
    assert controls.asked == [("cancel", "q7", "r1")]


async def test_other_definitions_are_loaded_before_a_change_not_before_a_read(
    tmp_path: Path,
) -> None:
    controls = FakeControls()
    async with listening(tmp_path, controls):

        def both(client: Any) -> None:
            client.ask("summary", {}, request="a", definitions_digest="new")
            client.ask("stop", {}, request="b", definitions_digest="new")

        await asked(tmp_path, both)
    assert controls.asked == [("reload", "new"), ("stop",)]


async def test_an_error_comes_as_it_was_raised(tmp_path: Path) -> None:
    async with listening(tmp_path, FakeControls()):
        with pytest.raises(UsageError) as raised:
            await asked(
                tmp_path,
                lambda client: client.ask("stop", {}, request="q", definitions_digest="broken"),
            )
    assert (raised.value.hint, raised.value.where) == ("write some", "p.py:1")


async def test_a_fault_costs_its_request_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(tmp_path, FakeControls()):
        with pytest.raises(AfreshError, match="KeyError"):
            await asked(tmp_path, lambda client: client.ask("lineage", {}, request="q"))
        assert await asked(tmp_path, lambda client: client.ask("summary", {}, request="q"))
    assert "lineage" in caplog.text


async def test_a_client_of_another_release_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("afresh.daemon.api.client.PROTOCOL", 99)
    async with listening(tmp_path, FakeControls()):
        with pytest.raises(UsageError, match="protocol"):
            await asked(tmp_path, lambda client: client.ask("summary", {}, request="q"))


async def test_lines_are_streamed_of_the_kind_that_is_wanted(tmp_path: Path) -> None:
    def follow(client: Any) -> list[Any]:
        return list(client.follow("follow", {"type": "event"}, request="q"))

    async with listening(tmp_path, FakeControls(lines=LINES)):
        lines = await asked(tmp_path, follow)
    assert [line["type"] for line in lines] == ["following", "event", "missed"]
    assert lines[1]["uri"] == "a\udcff"


DEEP = b"\0\1\0\0" + b"[" * (1 << 16)


@pytest.mark.parametrize("junk", [b"\xff\xff\xff\xff", b"\0\0\0\2[]", b"\0\0\0\1{", b"\0\0", DEEP])
async def test_junk_costs_that_client_alone(tmp_path: Path, junk: bytes) -> None:
    def send() -> bytes:
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(socket_path(str(tmp_path)))
            raw.sendall(junk)
            raw.shutdown(socket.SHUT_WR)
            return raw.recv(1)

    async with listening(tmp_path, FakeControls()):
        assert await anyio.to_thread.run_sync(send) == b""
        assert await asked(tmp_path, lambda client: client.ask("summary", {}, request="q"))


async def test_a_client_that_goes_lets_go_of_what_it_waits_for(tmp_path: Path) -> None:
    class Patient(FakeControls):
        left = False

        async def wait(self, units: Any, timeout_seconds: float | None) -> bool:
            del units, timeout_seconds
            begun.set()
            try:
                await anyio.sleep_forever()
            finally:
                self.left = True
                over.set()
            return True

        async def subscribe(self) -> AsyncIterator[dict[str, Any]]:
            await anyio.sleep_forever()
            yield {}

    begun, over, controls, requests = anyio.Event(), anyio.Event(), Patient(), Requests()
    request = {"id": "q", "op": "wait", "params": {}, "protocol": 1}
    async with listening(tmp_path, controls, requests):
        stream = await anyio.connect_unix(socket_path(str(tmp_path)))
        await stream.send(encode({**request, "op": "follow"}))
        await stream.send(encode(request))
        await begun.wait()
        assert requests.under_way == 1
        await stream.aclose()
        with anyio.fail_after(60):
            await over.wait()
            await requests.answered()
    assert controls.left


async def test_the_socket_is_for_us_alone_and_gone_afterwards(tmp_path: Path) -> None:
    path = Path(socket_path(str(tmp_path)))
    tmp_path.chmod(0o755)
    async with listening(tmp_path, FakeControls()):
        assert path.stat().st_mode & 0o777 == 0o600
        assert tmp_path.stat().st_mode & 0o777 == 0o700
    assert not path.exists()
    assert connect(str(tmp_path)) is None


async def test_what_a_killed_daemon_left_is_replaced(tmp_path: Path) -> None:
    path = socket_path(str(tmp_path))
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(path)
    assert connect(str(tmp_path)) is None
    async with listening(tmp_path, FakeControls()):
        assert await asked(tmp_path, lambda client: client.ask("summary", {}, request="q"))


def test_a_daemon_that_ends_in_the_middle_is_said(tmp_path: Path) -> None:
    import threading

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(socket_path(str(tmp_path)))
        listener.listen()

        def hang_up() -> None:
            connection, _ = listener.accept()
            connection.recv(4)
            connection.close()

        thread = threading.Thread(target=hang_up, daemon=True)
        thread.start()
        client = connect(str(tmp_path))
        assert client is not None
        with pytest.raises(LedgerUnavailable, match="ended"):
            client.ask("summary", {}, request="q")
        client.close()
        thread.join()


def test_a_daemon_that_hangs_is_said(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(socket_path(str(tmp_path)))
        listener.listen()
        client = connect(str(tmp_path))
        assert client is not None
        with pytest.raises(AfreshError, match="within"):
            client.ask("summary", {}, request="q", timeout_seconds=0.01)
        client.close()


def test_a_socket_that_another_put_in_our_place_is_not_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state = "/srv/" + "x" * 100
    # Short: the path of a socket has its bounds.
    with TemporaryDirectory() as runtime, socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        path = socket_path(state)
        private_folder(path)
        listener.bind(path)
        listener.listen()
        client = connect(state)
        assert client is not None
        client.close()
        monkeypatch.setattr("os.getuid", lambda: 12345)
        assert connect(state) is None
