import os
import socket

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.daemon.workers import wire
from afresh.daemon.workers.task import Result, Target, Task

MESSAGES = [wire.Ready(), wire.Answer(Result("r", seconds=1.5), "it grew")]


@given(st.lists(st.sampled_from(MESSAGES)), st.data())
def test_frames_are_found_however_the_stream_is_cut(
    messages: list[wire.FromWorker], data: st.DataObject
) -> None:
    stream = b"".join(map(wire.encode, messages))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    frames = wire.Frames()
    found = [
        wire.decode_from_worker(body)
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)
        for body in frames.feed(stream[start:end])
    ]
    assert found == messages


@pytest.mark.parametrize("path", ["", "/landing/a.csv", "/landing/\udcff\n.csv"])
def test_a_task_keeps_its_path_whatever_its_bytes(path: str) -> None:
    task = Task("r", "ingest", "rows", "", 1, (Target("rows", "u"),), path=path, events=(1, 2))
    (body,) = wire.Frames().feed(wire.encode_task(task))
    assert wire.decode_task(body) == task


def test_descriptors_stay_with_their_frame() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        read, write = os.pipe()
        wire.send(ours, wire.Fork(1), (read,))
        wire.send(ours, wire.Kill(1))
        wire.send(ours, wire.Fork(2), (write,))
        os.close(read)
        os.close(write)
        received = [wire.receive(theirs) for _ in range(3)]
        assert [wire.decode_to_generation(body) for body, _ in filter(None, received)] == [
            wire.Fork(1),
            wire.Kill(1),
            wire.Fork(2),
        ]
        fds = [fds for _, fds in filter(None, received)]
        assert [len(f) for f in fds] == [1, 0, 1]
        os.write(fds[2][0], b"x")
        assert os.read(fds[0][0], 1) == b"x"
        for descriptor in (*fds[0], *fds[2]):
            assert not os.get_inheritable(descriptor)
            os.close(descriptor)


def test_a_stream_that_ends_is_told() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        with ours:
            ours.send(wire.encode(wire.Ready())[:-1])
        assert wire.receive(theirs) is None
        assert wire.receive(theirs) is None


def test_what_is_no_message_is_refused() -> None:
    with pytest.raises(msgspec.MsgspecError):
        wire.decode_from_worker(b"\x00nonsense")
