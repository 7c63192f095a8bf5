"""The local socket's frames and where it lies; shared by the daemon and the command line.

A frame is four bytes of length (big endian) and that much JSON. A request is
`{id, op, params, protocol, definitions_digest}`; its answer is any number of `{id, line}`, then
`{id, result}` or `{id, error, hint, where, kind}`.
"""

# Paths are strings: pathlib is slow to import.
# ruff: noqa: PTH101, PTH103, PTH118, PTH120

import json
import os
import stat
from typing import Any

from afresh.assets import errors
from afresh.assets.errors import AfreshError, LedgerUnavailable

SOCKET = "daemon.sock"
LONGEST_PATH = 107
"""Bytes of a socket's path (108 with the final NUL)."""

LARGEST = 1 << 30
HEADER = 4


def encode(message: dict[str, Any]) -> bytes:
    """Make a frame; characters that are no characters (lone surrogates) travel as escapes."""
    body = json.dumps(message, separators=(",", ":"), default=str).encode("ascii")
    return len(body).to_bytes(HEADER, "big") + body


def size_of(header: bytes) -> int:
    """Read a frame's length. Raises ValueError for what cannot be a frame."""
    size = int.from_bytes(header, "big")
    if size > LARGEST:
        raise ValueError(f"Expected a frame of at most {LARGEST} bytes, found {size}")
    return size


def decode(body: bytes) -> dict[str, Any]:
    """Read a frame's message. Raises ValueError where it is no JSON object."""
    message = json.loads(body)
    if not isinstance(message, dict):
        raise ValueError("Expected a JSON object")  # noqa: TRY004 - a frame's content, not a type
    return message


def fault(error: AfreshError) -> dict[str, str]:
    """Write an error as data."""
    return {
        "error": error.error,
        "hint": error.hint,
        "where": error.where,
        "kind": type(error).__name__,
    }


def raise_fault(message: dict[str, Any]) -> None:
    """Raise the error that an answer holds, if it holds one."""
    if "error" not in message:
        return
    kind = getattr(errors, str(message.get("kind", "")), AfreshError)
    if not (isinstance(kind, type) and issubclass(kind, AfreshError)):
        kind = AfreshError
    raise kind(message["error"], hint=message.get("hint", ""), where=message.get("where", ""))


def socket_path(state: str) -> str:
    """Say where the socket of a state folder is: in it, or where that is too long, elsewhere.

    Then it is under the runtime folder, in one named by the hash of the state folder's path.
    """
    path = os.path.join(state, SOCKET)
    if len(os.fsencode(path)) <= LONGEST_PATH:
        return path
    # Lazy: most paths are short.
    from hashlib import sha256  # noqa: PLC0415

    name = sha256(os.fsencode(os.path.realpath(state))).hexdigest()[:16]
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if not runtime or len(os.fsencode(runtime)) > LONGEST_PATH - 40:
        # Folders there are taken only if they are ours alone: `private_folder` looks.
        return f"/tmp/afresh-{os.getuid()}-{name}/{SOCKET}"  # noqa: S108
    return os.path.join(runtime, f"afresh-{name}", SOCKET)


def is_of_another(path: str, state: str) -> bool:
    """Say whether a socket outside its state folder may be one that another user put there."""
    folder = os.path.dirname(path)
    return folder != state and os.lstat(folder).st_uid != os.getuid()


def private_folder(path: str) -> None:
    """Make the folder of a socket, for us alone. Raises LedgerUnavailable where it is another's."""
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise LedgerUnavailable(
            f"Expected a folder of our own for the daemon's socket, found {folder}",
            hint="remove it, or set XDG_RUNTIME_DIR to a folder that is yours",
        )
    if found.st_mode & 0o077:
        os.chmod(folder, 0o700)
