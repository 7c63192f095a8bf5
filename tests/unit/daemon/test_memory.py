"""Memory is given back when there is time for it."""

import gc
import weakref
from collections.abc import Iterator

import anyio
import pytest
import trio.testing

from afresh.daemon import memory


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


@pytest.fixture(autouse=True)
def _collector() -> Iterator[None]:
    """A collector as it was before, afterwards."""
    threshold = gc.get_threshold()
    gc.set_threshold(memory.YOUNG, 20, 20)
    yield
    gc.set_threshold(*threshold)
    gc.unfreeze()


class Cycle:
    """Refers to itself: counting references does not end it."""

    def __init__(self) -> None:
        self.me = self


@pytest.mark.parametrize(
    ("idle", "many", "gone"), [(True, True, True), (False, True, False), (True, False, False)]
)
async def test_rests_of_many_runs_are_released_when_nothing_is_to_do(
    *, idle: bool, many: bool, gone: bool
) -> None:
    gc.collect()
    cycle = weakref.ref(Cycle())
    kept = [[number] for number in range(2 * memory.MUCH if many else 10)]
    with anyio.move_on_after(3 * memory.INTERVAL_SECONDS):
        await memory.release_when_idle(lambda: idle, lambda: "d")
    assert (cycle() is None) is gone
    assert kept


async def test_nothing_is_released_just_after_work() -> None:
    gc.collect()
    cycle = weakref.ref(Cycle())
    kept = [[number] for number in range(2 * memory.MUCH)]
    times = iter([False, True, False])
    with anyio.move_on_after(3.5 * memory.INTERVAL_SECONDS):
        await memory.release_when_idle(lambda: next(times), lambda: "d")
    assert cycle() is not None
    assert kept


@pytest.mark.parametrize("changed", [True, False])
async def test_the_state_of_definitions_before_is_released(*, changed: bool) -> None:
    state = Cycle()
    known = weakref.ref(state)
    memory.release_memory()
    del state
    digests = iter(["before"])
    with anyio.move_on_after(3 * memory.INTERVAL_SECONDS):
        await memory.release_when_idle(
            lambda: True, lambda: next(digests, "after" if changed else "before")
        )
    assert (known() is None) is changed
