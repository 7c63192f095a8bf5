import bz2
import gzip
import lzma
from collections.abc import Callable

import pyarrow as pa
import pytest

from afresh.assets.errors import UnreadableData
from afresh.storage.formats.compression import decompress

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda data: pa.compress(data, "zstd", asbytes=True),
}


@pytest.fixture(params=PACKERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def pack(kind: str) -> Callable[[bytes], bytes]:
    return PACKERS[kind]


def test_all_members_are_unpacked(kind: str, pack: Callable[[bytes], bytes]) -> None:
    assert decompress(pack(b"one") + pack(b"two"), kind) == b"onetwo"


def test_a_bomb_is_refused(kind: str, pack: Callable[[bytes], bytes]) -> None:
    bomb = pack(bytes(8 << 20))
    with pytest.raises(UnreadableData, match="Expected at most 1048576 bytes unpacked"):
        decompress(bomb, kind, limit=1 << 20)
    assert len(decompress(bomb, kind)) == 8 << 20


def test_what_is_cut_off_or_damaged_is_refused(kind: str, pack: Callable[[bytes], bytes]) -> None:
    data = pack(bytes(range(256)) * 100)
    for bad in (data[:-4], data[: len(data) // 2], b"no such thing", b""):
        with pytest.raises(UnreadableData, match=f"Expected {kind} data"):
            decompress(bad, kind)
