"""Half a file never counts as complete: debounce against a plain reading of its rule."""

from hypothesis import given
from hypothesis import strategies as st

from afresh.sensors.base import Identity
from afresh.sensors.folders.settle import Settling

PATIENCE = 3.0

# Quarters of a second are exact, so no rounding hides a mistake.
steps = st.lists(
    st.tuples(st.integers(0, 12).map(lambda n: n / 4), st.sampled_from("ab"), st.integers(0, 2)),
    max_size=40,
)


@given(steps)
def test_a_path_settles_when_all_looks_for_so_long_saw_the_same(
    looks: list[tuple[float, str, int]],
) -> None:
    settling = Settling()
    history: dict[str, list[tuple[float, int]]] = {}
    now = 0.0
    for pause, path, size in looks:
        now += pause
        seen = history.setdefault(path, [])
        seen.append((now, size))
        same_since = now
        for at, before in reversed(seen):
            if before != size:
                break
            same_since = at
        settled = settling.look(path, Identity(1, size, 0, 0), now, PATIENCE)
        assert settled is (now - same_since >= PATIENCE)
        assert (path in settling) is not settled
        if settled:
            seen.clear()


@given(steps, st.integers(1, 3))
def test_whatever_waits_is_given_for_a_look_when_it_is_due(
    looks: list[tuple[float, str, int]], limit: int
) -> None:
    settling = Settling()
    now = 0.0
    for pause, path, size in looks:
        now += pause
        settling.look(path, Identity(1, size, 0, 0), now, PATIENCE)
    waiting = set(settling.paths())
    next_at = settling.next_at()
    assert next_at is not None or not waiting
    given_back: list[str] = []
    while due := settling.due(now + PATIENCE, limit):
        assert len(due) <= limit
        given_back += due
    assert sorted(given_back) == sorted(waiting)
    assert settling.next_at() is None
