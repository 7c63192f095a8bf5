"""Events posted to a real server: with TLS, one by one or in batches, signed."""

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from afresh.daemon.config import load_settings
from afresh.daemon.outgoing.base import Delivered, Target
from afresh.daemon.outgoing.load import build_target
from afresh.daemon.outgoing.webhook import WebhookTarget
from afresh.sensors.cloudevents import from_http, to_json
from afresh.sensors.webhooks.signature import FORMS, sign
from services.certificates import Authority

pytestmark = pytest.mark.anyio


class Server(ThreadingHTTPServer):
    """Keeps what it is sent; answers with `status`."""

    daemon_threads = True
    status = 202

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.calls: list[tuple[dict[str, str], bytes]] = []
        self.connections = 0

    def get_request(self) -> Any:
        self.connections += 1
        return super().get_request()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that does not trust us hangs up: that is tested."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.calls.append((headers, body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Be silent."""


@contextmanager
def serving(certificate: tuple[Path, Path] | None = None) -> Iterator[Server]:
    server = Server()
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def target(folder: Path, url: str, text: str = "") -> Target:
    settings = f'[[outgoing]]\nkind = "webhook"\nurl = "{url}"\n{text}'
    (folder / "afresh.toml").write_text(settings)
    (table,) = load_settings(str(folder), {}).outgoing
    return build_target(table, project=str(folder), now=lambda: 1_000.0)


def events(count: int) -> list[bytes]:
    given = {"source": "/afresh/shop", "type": "t"}
    return [to_json({"id": f"e{i}", **given}, {"n": i}) for i in range(count)]


async def test_a_server_with_a_certificate_that_is_trusted_gets_all(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with serving(authority.issue("server")) as server:
        url = f"https://localhost:{server.server_port}/hooks"
        done = await target(tmp_path, url, 'ca = "authority.pem"').deliver(events(3))
        assert done == (3, "", 0.0)
        assert [json.loads(body)["id"] for _, body in server.calls] == ["e0", "e1", "e2"]
        assert server.connections == 1


async def test_a_server_that_is_not_trusted_gets_nothing(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    Authority(tmp_path, "other")
    with serving(authority.issue("server")) as server:
        url = f"https://localhost:{server.server_port}/hooks/s3cret"
        for text in ("", 'ca = "other.pem"'):
            done = await target(tmp_path, url, text).deliver(events(1))
            assert done.taken == 0
            assert "CERTIFICATE_VERIFY_FAILED" in done.error
            assert "s3cret" not in done.error
        assert server.calls == []


async def test_a_certificate_of_another_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    with serving(authority.issue("server")) as server:
        look_up = socket.getaddrinfo
        monkeypatch.setattr(
            socket, "getaddrinfo", lambda _host, *rest, **more: look_up("127.0.0.1", *rest, **more)
        )
        url = f"https://elsewhere.example:{server.server_port}/hooks"
        done = await target(tmp_path, url, 'ca = "authority.pem"').deliver(events(1))
        assert done.taken == 0
        assert "elsewhere.example" in done.error
        assert server.calls == []


async def test_a_file_of_authorities_that_is_absent_is_named(tmp_path: Path) -> None:
    done = await target(tmp_path, "https://localhost:1/", 'ca = "no.pem"').deliver(events(1))
    assert done.taken == 0
    assert "no.pem" in done.error


async def test_batches_are_arrays_that_are_signed_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUT_SECRET", "secret")
    with serving() as server:
        url = f"http://127.0.0.1:{server.server_port}/hooks"
        text = 'batch = 3\nsecret = { env = "OUT_SECRET" }'
        done = await target(tmp_path, url, text).deliver(events(7))
        assert done == (7, "", 0.0)
        found = [from_http(headers, body) or [] for headers, body in server.calls]
        ids = [[event.attributes["id"] for event in some] for some in found]
        assert ids == [["e0", "e1", "e2"], ["e3", "e4", "e5"], ["e6"]]
        for headers, body in server.calls:
            signed = sign(FORMS["afresh"], b"secret", body, at=1_000.0)
            assert {name: headers[name.lower()] for name in signed} == signed


async def test_a_batch_that_is_refused_is_not_taken(tmp_path: Path) -> None:
    with serving() as server:
        url = f"http://127.0.0.1:{server.server_port}/hooks"
        server.status = 503
        done = await target(tmp_path, url, "batch = 100").deliver(events(7))
        assert done.taken == 0
        assert "503" in done.error
        assert len(server.calls) == 1


@pytest.mark.parametrize("batch", ["0", "true", '"many"', "1000"])
def test_a_batch_is_a_number(tmp_path: Path, batch: str) -> None:
    from afresh.assets.errors import UsageError

    with pytest.raises(UsageError, match="Expected batch"):
        target(tmp_path, "http://127.0.0.1/", f"batch = {batch}")


async def test_of_an_answer_that_does_not_end_only_the_beginning_is_read() -> None:
    """And the events after it are posted all the same."""
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1_000_000
    seen: list[bytes] = []

    def serve(server: socket.socket) -> None:
        for _ in range(2):
            client, _ = server.accept()
            with client, suppress(OSError):
                seen.append(client.recv(100_000))
                while True:
                    client.sendall(endless)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        target = WebhookTarget(url, secret=None, now=lambda: 0.0, timeout_seconds=5)
        event = to_json({"id": "1", "source": "/x", "type": "t"}, {})
        with anyio.fail_after(60):
            assert await target.deliver([event, event]) == Delivered(2)
        await anyio.to_thread.run_sync(thread.join)
    assert len(seen) == 2
