import os
from pathlib import Path

import pytest

from afresh.assets.errors import AfreshError, DataError, LedgerUnavailable, UsageError
from afresh.daemon.api.wire import (
    HEADER,
    LONGEST_PATH,
    decode,
    encode,
    fault,
    private_folder,
    raise_fault,
    size_of,
    socket_path,
)


def test_a_frame_gives_back_its_message_whatever_characters() -> None:
    message = {"id": "q", "params": {"ref": "a\udcff\u202e\n\0"}}
    frame = encode(message)
    assert size_of(frame[:HEADER]) == len(frame) - HEADER
    assert decode(frame[HEADER:]) == message


@pytest.mark.parametrize("body", [b"[]", b"{", b"\xff"])
def test_what_is_no_message_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode(body)


def test_a_frame_has_a_largest_size() -> None:
    with pytest.raises(ValueError, match="at most"):
        size_of(b"\xff\xff\xff\xff")


@pytest.mark.parametrize("kind", [UsageError, LedgerUnavailable, DataError, AfreshError])
def test_an_error_travels(kind: type[AfreshError]) -> None:
    with pytest.raises(kind) as raised:
        raise_fault(fault(kind("e", hint="h", where="w")))
    assert type(raised.value) is kind
    assert (raised.value.error, raised.value.hint, raised.value.where) == ("e", "h", "w")


@pytest.mark.parametrize("kind", ["SystemExit", "Nope", "errors", ""])
def test_an_error_of_an_unknown_kind_is_ours(kind: str) -> None:
    with pytest.raises(AfreshError):
        raise_fault({"error": "e", "kind": kind})


def test_the_socket_is_in_the_state_folder_where_the_path_is_short() -> None:
    assert socket_path("/srv/x/.afresh") == "/srv/x/.afresh/daemon.sock"


@pytest.mark.parametrize("runtime", ["/run/user/1000", ""])
def test_the_socket_is_in_the_runtime_folder_where_the_path_is_long(
    monkeypatch: pytest.MonkeyPatch, runtime: str
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    long = "/srv/" + "ü" * 50 + "/.afresh"
    path = socket_path(long)
    assert len(os.fsencode(path)) <= LONGEST_PATH
    assert path.startswith(runtime or "/tmp/")  # noqa: S108
    assert path != socket_path(long + "2")


def test_a_folder_of_another_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(LedgerUnavailable):
        private_folder(str(tmp_path / "link" / "daemon.sock"))
