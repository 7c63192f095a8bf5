"""The command line's end of the local socket: blocking, with nothing but the standard library."""

# Paths are strings: pathlib is slow to import.
# ruff: noqa: PTH110

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from afresh.assets.errors import AfreshError, LedgerUnavailable
from afresh.daemon.api.view import PROTOCOL
from afresh.daemon.api.wire import (
    HEADER,
    decode,
    encode,
    is_of_another,
    raise_fault,
    size_of,
    socket_path,
)

if TYPE_CHECKING:
    import socket

_CONNECT_SECONDS = 5.0


class DaemonEnded(LedgerUnavailable):
    """The daemon went without an answer."""


class Client:
    """A connection to the running daemon."""

    def __init__(self, connected: "socket.socket") -> None:
        self._socket = connected

    def ask(
        self,
        op: str,
        params: Mapping[str, Any],
        *,
        request: str,
        definitions_digest: str = "",
        timeout_seconds: float | None = None,
    ) -> Any:
        """Ask for an operation and wait for its answer.

        Raises what the daemon answers, DaemonEnded, and AfreshError when the time is over.
        """
        for message in self._answers(op, params, request, definitions_digest, timeout_seconds):
            if "result" in message:
                return message["result"]
        raise AssertionError  # _answers ends with a result, or raises

    def follow(self, op: str, params: Mapping[str, Any], *, request: str) -> Iterator[Any]:
        """Yield the lines that an operation streams. Raises DaemonEnded at their end."""
        for message in self._answers(op, params, request, "", None):
            if "line" in message:
                yield message["line"]

    def close(self) -> None:
        """Close the connection; what it waited for goes on, or is let go."""
        self._socket.close()

    def _answers(
        self,
        op: str,
        params: Mapping[str, Any],
        request: str,
        digest: str,
        timeout_seconds: float | None,
    ) -> Iterator[dict[str, Any]]:
        asked = {
            "id": request,
            "op": op,
            "params": dict(params),
            "protocol": PROTOCOL,
            "definitions_digest": digest,
        }
        self._socket.settimeout(timeout_seconds)
        try:
            self._socket.sendall(encode(asked))
            while True:
                message = decode(self._read(size_of(self._read(HEADER))))
                raise_fault(message)
                yield message
                if "result" in message:
                    return
        except TimeoutError as error:
            raise AfreshError(
                f"Expected an answer within {timeout_seconds} s, found none",
                hint="the daemon is busy or hangs: see its log, `afresh doctor`",
            ) from error
        except (OSError, EOFError) as error:
            raise DaemonEnded(
                "Expected an answer, found that the daemon has ended",
                hint="start it again with `afresh up`; what it had acknowledged is kept",
            ) from error

    def _read(self, size: int) -> bytes:
        pieces, missing = [], size
        while missing:
            piece = self._socket.recv(min(missing, 1 << 20))
            if not piece:
                raise EOFError
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)


def connect(state: str) -> Client | None:
    """Connect to the daemon of a state folder; None where none of ours listens."""
    path = socket_path(state)
    if not os.path.exists(path) or is_of_another(path, state):
        return None
    # Lazy: without a daemon it is not needed.
    import socket  # noqa: PLC0415

    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        connected.settimeout(_CONNECT_SECONDS)
        connected.connect(path)
    except OSError:
        connected.close()
        return None
    return Client(connected)
