"""A proxy between a client and a server that fails on demand: slow, cut off, gone, or HTTP 503.

It knows nothing of protocols, but for `answer`, which speaks HTTP. Faults may change while
connections are open. Runs in threads of its own, so that any test can use it.
"""

import contextlib
import socket
import struct
import threading
import time
from typing import Self

_PIECE = 1 << 16
_SHORT_SECONDS = 0.05


class FaultProxy:
    """Listens on a free loopback port and hands on to `target`, as its attributes say at the time.

    `latency_seconds` is waited for before each piece of an answer. `bytes_a_second` is how fast
    bytes dribble, either way. `cut_after` is how many bytes of answers a connection may carry
    before it is reset, `cut_asked_after` how many of requests. `answer` is an HTTP status that
    every request gets instead of the target's answer. `stalled`: connections stay open and nothing
    comes. `refused` counts what was not handed on.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.latency_seconds = 0.0
        self.bytes_a_second: int | None = None
        self.cut_after: int | None = None
        self.cut_asked_after: int | None = None
        self.answer: int | None = None
        self.stalled = False
        self.refused = 0
        self._down = False
        self._open: set[socket.socket] = set()
        self._lost: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._closed = False
        threading.Thread(target=self._accept, daemon=True, name="fault proxy").start()

    @property
    def address(self) -> str:
        """Where clients connect to, as `host:port`."""
        return f"127.0.0.1:{self.port}"

    def take_down(self) -> None:
        """Reset what is open, and each new connection, until `bring_up`."""
        self._down = True
        self._reset_all()

    def lose_open(self) -> None:
        """Swallow all that is said on what is open now, for good; new connections are well."""
        with self._lock:
            self._lost |= self._open

    def bring_up(self) -> None:
        """Hand on again, without any fault."""
        self.latency_seconds, self.bytes_a_second, self.answer = 0.0, None, None
        self.cut_after = self.cut_asked_after = None
        self.stalled = False
        self._down = False

    def close(self) -> None:
        """End: nothing is listened to, nothing is open."""
        self._closed = True
        # Closing alone leaves the thread in accept.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._reset_all()

    def __enter__(self) -> Self:
        """Give it; it is closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._down:
            self.refused += 1
            _reset(client)
            return
        if self.answer is not None:
            self._answer(client)
            return
        try:
            server = socket.create_connection(self.target, timeout=10)
        except OSError:
            self.refused += 1
            _reset(client)
            return
        server.settimeout(None)
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._open |= {client, server}
        if self._down:  # meanwhile
            self._reset_all()
        asking = threading.Thread(target=self._ask, args=(client, server), daemon=True)
        asking.start()
        self._bring(server, client)
        asking.join()
        self._forget(client, server)

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        """Carry what the client says."""
        carried = 0
        try:
            while data := client.recv(_PIECE):
                if self.answer is not None or self._down:
                    self.refused += 1  # a kept connection of before the fault: to be made anew
                    break
                self._wait_stalled()
                if client in self._lost:
                    continue
                whole = self._pass(server, data, carried, self.cut_asked_after)
                carried += len(data)
                if not whole:
                    break
            else:
                server.shutdown(socket.SHUT_WR)
                return
        except OSError:
            pass
        self._cut(client, server)

    def _bring(self, server: socket.socket, client: socket.socket) -> None:
        """Carry what the server answers."""
        carried = 0
        try:
            while data := server.recv(_PIECE):
                if self.latency_seconds:
                    time.sleep(self.latency_seconds)
                self._wait_stalled()
                if client in self._lost:
                    continue
                whole = self._pass(client, data, carried, self.cut_after)
                carried += len(data)
                if not whole:
                    break
            else:
                client.shutdown(socket.SHUT_WR)
                return
        except OSError:
            pass
        self._cut(client, server)

    def _pass(self, to: socket.socket, data: bytes, carried: int, most: int | None) -> bool:
        """Hand on what a connection may still carry, `carried` bytes after its first.

        False if that is not all.
        """
        left = len(data) if most is None else max(0, most - carried)
        passed = data[:left]
        while passed and (speed := self.bytes_a_second) and not self._down and not self._closed:
            piece = max(1, int(speed * _SHORT_SECONDS))
            to.sendall(passed[:piece])
            passed = passed[piece:]
            time.sleep(_SHORT_SECONDS)
        to.sendall(passed)
        self.refused += left < len(data)
        return left >= len(data)

    def _answer(self, client: socket.socket) -> None:
        """Read one request's head and as much of its body as has come, then answer."""
        self.refused += 1
        client.settimeout(5)
        try:
            data = b""
            while b"\r\n\r\n" not in data and (piece := client.recv(_PIECE)):
                data += piece
            # Who expects to be told to go on sends no body before that.
            waits = b"100-continue" in data.partition(b"\r\n\r\n")[0].lower()
            left = 0 if waits else _content_length(data) - len(data.partition(b"\r\n\r\n")[2])
            while left > 0 and (piece := client.recv(_PIECE)):
                left -= len(piece)
            head = f"HTTP/1.1 {self.answer} Fault\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            client.sendall(head.encode("ascii"))
        except OSError:
            pass
        client.close()

    def _wait_stalled(self) -> None:
        while self.stalled and not self._down and not self._closed:
            time.sleep(_SHORT_SECONDS)

    def _cut(self, *sockets: socket.socket) -> None:
        """Reset them; the descriptors stay until both threads are done with them."""
        with self._lock:
            for sock in self._open.intersection(sockets):
                _cut(sock)

    def _forget(self, *sockets: socket.socket) -> None:
        with self._lock:
            self._open -= set(sockets)
            self._lost -= set(sockets)
            for sock in sockets:
                sock.close()

    def _reset_all(self) -> None:
        with self._lock:
            for sock in self._open:
                _cut(sock)


def _content_length(head: bytes) -> int:
    for line in head.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0


def _reset(sock: socket.socket) -> None:
    """Close with a reset, as a server that dies or a firewall does."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def _cut(sock: socket.socket) -> None:
    """Wake the thread that reads it; it is reset when closed."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.shutdown(socket.SHUT_RDWR)
