"""A listing by several spans at once gives every object once, whatever came and went between."""

from collections.abc import Mapping
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.assets.errors import SensorError
from afresh.sensors.buckets.spans import AT_ONCE, Marks, SpanPages
from afresh.sensors.buckets.store import StoreError

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4)
worlds = st.frozensets(names, max_size=60)


class Server:
    """Names in the order of their bytes, or of another; a page has three."""

    def __init__(self, world: frozenset[str], encoding: str = "utf-8") -> None:
        self.world = sorted(world, key=lambda name: name.encode(encoding))
        self.encoding = encoding
        self.failures = 0
        self.now = self.most = 0

    async def ask(self, after: str) -> Mapping[str, Any]:
        self.now += 1
        self.most = max(self.most, self.now)
        await anyio.lowlevel.checkpoint()
        self.now -= 1
        if self.failures:
            self.failures -= 1
            raise StoreError("away")
        begin = after.encode(self.encoding)
        found = [name for name in self.world if name.encode(self.encoding) > begin]
        contents = [{"Key": name, "ETag": "e", "Size": "1"} for name in found[:3]]
        return {"Contents": contents, "IsTruncated": len(found) > 3}


def listed(server: Server, marks: Marks) -> list[str]:
    """List with as many at once as it says, each asking again after an error."""
    found: list[str] = []

    async def take(pages: SpanPages) -> None:
        while True:
            try:
                page = await pages.next()
            except StoreError:
                continue
            if page is None:
                return
            found.extend(entry.path.removeprefix("b/") for entry in page)

    async def main() -> None:
        pages = SpanPages("b", server.ask, marks)
        async with anyio.create_task_group() as tasks:
            for _ in range(pages.at_once):
                tasks.start_soon(take, pages)
        assert await pages.next() is None

    anyio.run(main)
    return found


@given(st.lists(worlds, min_size=1, max_size=4), st.integers(0, 5))
def test_each_listing_gives_all_that_is_there_once(
    history: list[frozenset[str]], failures: int
) -> None:
    marks = Marks()
    for world in history:
        server = Server(world)
        server.failures = failures
        assert sorted(listed(server, marks)) == sorted(world)


def test_the_second_listing_asks_for_pages_at_once() -> None:
    world, marks = frozenset(f"{number:04}" for number in range(300)), Marks()
    first, second = Server(world), Server(world)
    assert listed(first, marks) == sorted(world)
    assert first.most == 1
    assert sorted(listed(second, marks)) == sorted(world)
    assert second.most == AT_ONCE
    assert len(marks.names) == 99


def test_a_store_of_another_order_is_listed_page_by_page() -> None:
    # By their UTF-16 as Java sorts: an emoji comes before what is wide.
    world = frozenset({f"{text}{number}" for text in ("\uff01", "🙂") for number in range(30)})
    server, marks = Server(world, "utf-16-be"), Marks()
    for _ in range(3):
        assert sorted(listed(server, marks)) == sorted(world)
    assert server.most == 1


def test_what_has_another_order_all_at_once_is_no_whole_listing() -> None:
    plain, marks = frozenset(f"{number:02}" for number in range(30)), Marks()
    listed(Server(plain, "utf-16-be"), marks)
    odd = plain | {"20\uff01", "20🙂"}
    with pytest.raises(ExceptionGroup) as caught:
        listed(Server(odd, "utf-16-be"), marks)
    assert caught.group_contains(SensorError, match="in the order of their bytes")
    server = Server(odd, "utf-16-be")
    assert sorted(listed(server, marks)) == sorted(odd)
    assert server.most == 1


@pytest.mark.parametrize("count", [0, 1, 3, 4])
def test_a_short_listing_is_one_span(count: int) -> None:
    world, marks = frozenset(str(number) for number in range(count)), Marks()
    for _ in range(2):
        server = Server(world)
        assert sorted(listed(server, marks)) == sorted(world)
        assert server.most == 1
