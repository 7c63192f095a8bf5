"""The laws of a bucket's sensor: whatever is lost, doubled, late or fails, the end is right."""

import itertools
from contextlib import suppress
from random import Random

import anyio
from hypothesis import given
from hypothesis import strategies as st

from afresh.assets.errors import SensorError
from afresh.sensors.base import Batch, ObjectIdentity
from afresh.sensors.buckets.listing import Comparison
from afresh.sensors.buckets.sensor import BucketSensor
from afresh.sensors.buckets.store import Entry, state_of
from afresh.sensors.buckets.url import object_uri
from support.buckets import FakeStore, make_sensor, running, settle
from support.clock import run_simulated
from support.watching import Journal

names = st.sampled_from([f"lake/days/{day}.csv" for day in "abcdefgh"])
worlds = st.dictionaries(names, st.integers(1, 3))


def entry(path: str, etag: int) -> Entry:
    return Entry(path, ObjectIdentity(str(etag), "", 1, 1.0))


def listed(world: dict[str, int]) -> list[Entry]:
    return [entry(path, etag) for path, etag in sorted(world.items())]


def known(world: dict[str, int]) -> dict[str, int]:
    return {path: state_of(entry(path, etag).identity) for path, etag in world.items()}


@given(worlds)
def test_an_equal_listing_is_no_news(world: dict[str, int]) -> None:
    states = known(world)
    comparison = Comparison(states)
    assert comparison.news(listed(world), states.get, 0.0) == []
    missing = comparison.missing(states)
    assert (missing.first, missing.gone, missing.suspicious) == (frozenset(), (), False)


@given(worlds, worlds)
def test_news_are_what_differs(before: dict[str, int], after: dict[str, int]) -> None:
    states = known(before)
    news = Comparison(states).news(listed(after), states.get, 0.0)
    assert {e.path for e in news} == {p for p in after if after[p] != before.get(p)}


@given(worlds, worlds, worlds)
def test_gone_is_what_two_listings_in_a_row_have_not(
    before: dict[str, int], one: dict[str, int], two: dict[str, int]
) -> None:
    states = known(before)
    missed: frozenset[str] = frozenset()
    absent_before: set[str] = set()
    for world in (one, two):
        comparison = Comparison(states, missed)
        comparison.news(listed(world), states.get, 0.0)
        missing = comparison.missing(states)
        absent = states.keys() - world.keys()
        if 2 * len(absent) > len(states):
            assert missing.suspicious
            assert (missing.first, missing.gone) == (frozenset(), ())
            absent = set()
        else:
            assert set(missing.gone) == absent & absent_before
            assert missing.first == absent - absent_before
        missed, absent_before = missing.first, set(absent)


@given(worlds, worlds)
def test_accepted_what_is_absent_is_gone_at_once(
    before: dict[str, int], after: dict[str, int]
) -> None:
    states = known(before)
    comparison = Comparison(states)
    comparison.news(listed(after), states.get, 0.0)
    assert set(comparison.missing(states, accept=True).gone) == before.keys() - after.keys()


@given(names, st.integers(1, 3), st.floats(0, 2), st.floats(0, 2))
def test_a_page_from_before_a_look_says_nothing(
    path: str, etag: int, looked_at: float, asked_at: float
) -> None:
    comparison = Comparison([path])
    comparison.note_look(path, looked_at, there=True)
    news = comparison.news([entry(path, etag)], lambda _path: 0, asked_at)
    assert bool(news) == (looked_at < asked_at)
    assert comparison.missing({path: 0}).first == frozenset()


actions = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "delete", "hint", "hint", "wait", "fail", "scan"]),
        names,
        st.floats(0, 1.5),
    ),
    max_size=40,
)


@given(actions, st.floats(0, 0.4), st.integers(1, 5))
def test_the_end_is_what_the_store_has(
    plan: list[tuple[str, str, float]], seconds: float, page: int
) -> None:
    store, journal = FakeStore(page), Journal()
    store.seconds = seconds
    writes: dict[str, int] = {}

    async def main() -> None:
        sensor = make_sensor(store, interval_seconds=20.0)
        async with running(sensor, journal, check=False):
            for action, path, wait in plan:
                match action:
                    case "put":
                        store.put(path)
                        writes[path] = writes.get(path, 0) + 1
                    case "delete":
                        store.delete(path)
                    case "hint":
                        sensor.look_at([object_uri("s3", path)])
                    case "fail":
                        store.failures = 3
                    case "wait":
                        await anyio.sleep(wait * 20)
                    case _:
                        await anyio.sleep(wait)
            store.failures = 0
            await anyio.sleep(15)  # what failed is asked again
            await sensor.scan(accept=True)
            await settle(sensor)
        # A restart from what was recorded finds nothing new.
        count = len(journal.arrivals)
        again = make_sensor(store, known=journal.known)
        async with running(again, journal):
            await settle(again)
            assert await again.scan() == 0
        assert len(journal.arrivals) == count

    run_simulated(main)
    expected = {object_uri("s3", path): identity for path, identity in store.objects.items()}
    assert journal.known == expected
    for path, count in writes.items():
        uri = object_uri("s3", path)
        arrived = [a for a in journal.arrivals if a.uri == uri and a.kind == "arrived"]
        assert len(arrived) <= count
        assert len({a.identity.etag for a in arrived}) == len(arrived)  # type: ignore[union-attr]
    assert not any(arrival.problem for arrival in journal.arrivals)


class SlowLedger:
    """Records batches, each after a while; an ingest of each arrival reads what is there by then.

    As the daemon does it: what an ingest read is no news, unless a newer arrival is recorded.
    """

    def __init__(self, store: FakeStore, random: Random) -> None:
        self.journal = Journal()
        self.known: dict[str, ObjectIdentity] = {}
        self.sensor: BucketSensor | None = None
        self._store = store
        self._random = random
        self._seqs = itertools.count(1)
        self._last: dict[str, int] = {}

    async def emit(self, batch: Batch) -> None:
        await anyio.sleep(self._random.choice((0.0, 0.02, 0.2)))
        await self.journal.emit(batch)
        for arrival in batch.arrivals:
            self._last[arrival.uri] = next(self._seqs)
            if isinstance(arrival.identity, ObjectIdentity):
                self.known[arrival.uri] = arrival.identity
            else:
                self.known.pop(arrival.uri, None)
        await anyio.sleep(self._random.choice((0.0, 0.02, 0.2)))

    async def ingest(self, path: str) -> None:
        """Read an object of which an arrival is recorded, and say so when it is read."""
        uri = object_uri("s3", path)
        number, identity = self._last.get(uri), self._store.objects.get(path)
        if number is None or identity is None or uri not in self.known:
            return
        await anyio.sleep(self._random.choice((0.0, 0.1, 1.0)))
        if self._last[uri] == number:
            self.known[uri] = identity
            assert self.sensor is not None
            self.sensor.confirm(uri, identity)


async def scan(sensor: BucketSensor) -> None:
    """What is gone may be too much to believe it."""
    with suppress(SensorError):
        await sensor.scan()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["put", "put", "delete", "hint", "hint", "scan", "ingest", "wait"]),
            st.sampled_from([f"lake/days/{day}.csv" for day in "aab"]),
            st.sampled_from([0.0, 0.0, 0.01, 0.1, 0.6]),
        ),
        min_size=20,
        max_size=60,
    ),
    st.integers(0, 2**32),
    st.integers(1, 4),
)
def test_one_state_of_an_object_is_one_event(
    plan: list[tuple[str, str, float]], seed: int, page: int
) -> None:
    """Whatever overtakes what: looks, pages of listings, acknowledgements and ingests."""
    store = FakeStore(page)
    random = Random(seed)
    ledger = SlowLedger(store, random)
    store.late = lambda: random.choice((0.0, 0.0, 0.05, 0.5))

    async def main() -> None:
        sensor = ledger.sensor = make_sensor(store, interval_seconds=2.0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sensor.run, ledger.emit)
            for action, path, wait in plan:
                match action:
                    case "put":
                        store.put(path)
                    case "delete":
                        store.delete(path)
                    case "hint":
                        sensor.look_at([object_uri("s3", path)])
                    case "ingest":
                        tasks.start_soon(ledger.ingest, path)
                    case "scan":
                        tasks.start_soon(scan, sensor)
                await anyio.sleep(wait)
            await anyio.sleep(5)
            await sensor.scan(accept=True)
            await settle(sensor)
            tasks.cancel_scope.cancel()

    run_simulated(main)
    expected = {object_uri("s3", path): identity for path, identity in store.objects.items()}
    assert ledger.known == expected
    arrived = [a for a in ledger.journal.arrivals if a.kind == "arrived"]
    states = [(a.uri, a.identity) for a in arrived]
    assert len(set(states)) == len(states)
