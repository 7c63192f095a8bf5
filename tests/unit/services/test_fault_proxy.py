"""The proxy that other tests make faults with: each fault is what the client sees."""

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from services.fault_proxy import FaultProxy

BODY = b"x" * 200_000


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    with FaultProxy(("127.0.0.1", server.server_port)) as proxy:
        yield proxy
    server.shutdown()
    thread.join()
    server.server_close()


def get(proxy: FaultProxy, timeout: float = 60) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(proxy.address, timeout=timeout)
    try:
        connection.request("GET", "/")
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def ask(connection: http.client.HTTPConnection) -> None:
    connection.request("GET", "/")
    connection.getresponse()


def put(connection: http.client.HTTPConnection) -> None:
    connection.request("PUT", "/", BODY)
    connection.getresponse()


def test_without_a_fault_it_hands_on(proxy: FaultProxy) -> None:
    assert get(proxy) == (200, BODY)
    connection = http.client.HTTPConnection(proxy.address, timeout=60)
    for _ in range(2):
        connection.request("PUT", "/", BODY)
        response = connection.getresponse()
        response.read()
        assert response.status == 201
    connection.close()
    assert proxy.refused == 0


def test_down_it_resets_what_is_open_and_what_comes(proxy: FaultProxy) -> None:
    connection = http.client.HTTPConnection(proxy.address, timeout=60)
    connection.request("GET", "/")
    connection.getresponse().read()
    proxy.take_down()
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        ask(connection)
    connection.close()
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        get(proxy)
    proxy.bring_up()
    assert get(proxy) == (200, BODY)


def test_what_is_open_may_go_silent_while_others_are_well(proxy: FaultProxy) -> None:
    connection = http.client.HTTPConnection(proxy.address, timeout=0.5)
    connection.request("GET", "/")
    connection.getresponse().read()
    proxy.lose_open()
    with pytest.raises(TimeoutError):
        ask(connection)
    connection.close()
    assert get(proxy) == (200, BODY)


def test_it_answers_with_a_status_even_on_kept_connections(proxy: FaultProxy) -> None:
    connection = http.client.HTTPConnection(proxy.address, timeout=60)
    connection.request("GET", "/")
    connection.getresponse().read()
    proxy.answer = 503
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        ask(connection)
    connection.close()
    assert get(proxy) == (503, b"")


def test_it_cuts_an_answer(proxy: FaultProxy) -> None:
    proxy.cut_after = 50_000
    with pytest.raises((ConnectionError, http.client.IncompleteRead)):
        get(proxy)
    assert proxy.refused == 1


def test_stalled_nothing_comes(proxy: FaultProxy) -> None:
    proxy.stalled = True
    with pytest.raises(socket.timeout):
        get(proxy, timeout=0.2)
    proxy.bring_up()
    assert get(proxy) == (200, BODY)


def test_latency_is_waited_for(proxy: FaultProxy) -> None:
    proxy.latency_seconds = 0.5
    with pytest.raises(socket.timeout):
        get(proxy, timeout=0.2)


def test_bytes_dribble_until_it_is_brought_up(proxy: FaultProxy) -> None:
    proxy.bytes_a_second = 400_000
    started = time.monotonic()
    assert get(proxy) == (200, BODY)
    assert time.monotonic() - started > 0.3
    proxy.bytes_a_second = 10
    threading.Timer(0.2, proxy.bring_up).start()
    assert get(proxy) == (200, BODY)


def test_a_request_is_cut_within_its_body(proxy: FaultProxy) -> None:
    proxy.cut_asked_after = 1000
    connection = http.client.HTTPConnection(proxy.address, timeout=60)
    with pytest.raises((OSError, http.client.HTTPException)):
        put(connection)
    connection.close()
    assert proxy.refused == 1
