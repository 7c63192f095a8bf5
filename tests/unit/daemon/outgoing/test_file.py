"""The target that is a file."""

from pathlib import Path

from afresh.daemon.outgoing.base import Delivered
from afresh.daemon.outgoing.file import FileTarget


async def test_a_file_gets_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "out" / "versions.jsonl"
    target = FileTarget(str(path))
    assert await target.deliver([b"1", b"2"]) == Delivered(2)
    with path.open("ab") as file:
        file.write(b'{"torn')
    assert await target.deliver([b"3"]) == Delivered(1)
    assert path.read_bytes() == b"1\n2\n3\n"
    path.write_bytes(b"x" * 200_000)
    await target.deliver([b"4"])
    assert path.read_bytes() == b"4\n"
    path.unlink()
    path.mkdir()
    assert (await target.deliver([b"5"])).taken == 0
