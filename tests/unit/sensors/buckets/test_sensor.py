"""The sensor of a bucket on a store in memory, on a clock that jumps."""

from typing import TYPE_CHECKING

import anyio
import pytest
import trio.testing

from afresh.assets.errors import SensorError, UsageError
from afresh.sensors.base import Batch, ObjectIdentity
from afresh.sensors.buckets.looker import AT_ONCE
from afresh.sensors.buckets.objects import ROOM
from afresh.sensors.buckets.store import Entry
from afresh.sensors.hints import HINTS
from support.buckets import FakeStore, make_sensor, running, settle
from support.watching import Journal, health

if TYPE_CHECKING:
    from afresh.sensors.buckets.sensor import BucketSensor


@pytest.fixture(
    params=[("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)})], ids=["trio"]
)
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


def days(*names: str) -> FakeStore:
    store = FakeStore()
    for name in names:
        store.put(f"lake/days/{name}.csv")
    return store


def uri(name: str) -> str:
    return f"s3://lake/days/{name}.csv"


async def test_what_is_there_arrives_in_batches() -> None:
    store, journal = days("a", "b"), Journal()
    store.put("lake/days/note.txt")
    store.put("lake/days/.a.csv.part")
    async with running(make_sensor(store), journal) as sensor:
        await settle(sensor)
        assert sensor.health.state == "watching"
        assert "2 objects" in sensor.health.note
    assert sorted(journal.short) == [("arrived", uri("a")), ("arrived", uri("b"))]
    assert {arrival.partition for arrival in journal.arrivals} == {"a", "b"}
    assert store.closed == 1


async def test_an_interval_finds_what_nobody_told_of() -> None:
    store, journal = days("a"), Journal()
    async with running(make_sensor(store, interval_seconds=30), journal) as sensor:
        await settle(sensor)
        store.put("lake/days/b.csv")
        store.put("lake/days/a.csv")
        await anyio.sleep(31)
        assert sorted(journal.short[1:]) == [("arrived", uri("a")), ("arrived", uri("b"))]


async def test_a_deletion_takes_two_listings() -> None:
    store, journal = days("a", "b", "c"), Journal()
    async with running(make_sensor(store, interval_seconds=30), journal) as sensor:
        await settle(sensor)
        store.delete("lake/days/b.csv")
        await anyio.sleep(26)
        assert len(journal.arrivals) == 3
        assert not sensor.is_quiet
        await anyio.sleep(5)
        assert journal.short[3:] == [("deleted", uri("b"))]


async def test_an_object_that_was_missed_once_is_not_deleted() -> None:
    store, journal = days("a", "b", "c"), Journal()
    async with running(make_sensor(store, interval_seconds=30), journal) as sensor:
        await settle(sensor)
        kept = store.objects.pop("lake/days/b.csv")
        await anyio.sleep(26)
        store.objects["lake/days/b.csv"] = kept
        await anyio.sleep(60)
        assert len(journal.arrivals) == 3


async def test_what_is_deleted_right_after_a_listing_is_known_within_an_interval() -> None:
    store, journal = days(*"abc"), Journal()
    async with running(make_sensor(store, interval_seconds=30), journal) as sensor:
        await settle(sensor)
        await sensor.scan()
        deleted_at = anyio.current_time()
        store.delete("lake/days/b.csv")
        await anyio.sleep(40)
    assert journal.short[3:] == [("deleted", uri("b"))]
    assert journal.arrivals[-1].observed_at - deleted_at <= 30


async def test_all_is_known_within_an_interval_however_long_a_listing_takes() -> None:
    names = [f"{number:02}" for number in range(60)]
    store, journal = days(*names), Journal()
    changed: dict[str, float] = {}
    async with running(make_sensor(store, interval_seconds=60), journal) as sensor:
        await settle(sensor)
        store.seconds = 0.4  # 20 pages: 16 s
        await anyio.sleep(100)
        told = len(journal.arrivals)
        for number, name in enumerate(names[::3]):
            changed[uri(name)] = anyio.current_time()
            if number % 2:
                store.delete(f"lake/days/{name}.csv")
            else:
                store.put(f"lake/days/{name}.csv")
            await anyio.sleep(7.7)
        await anyio.sleep(80)
    took = {a.uri: a.observed_at - changed[a.uri] for a in journal.arrivals[told:]}
    assert took.keys() == changed.keys()
    assert 30 < max(took.values()) <= 60


async def test_what_one_listing_has_not_is_listed_by_its_name() -> None:
    store, journal = days(*"abcdefghi"), Journal()
    async with running(make_sensor(store, interval_seconds=30), journal) as sensor:
        await settle(sensor)
        calls = store.calls
        store.delete("lake/days/b.csv")
        kept = store.objects.pop("lake/days/c.csv")
        await anyio.sleep(26)
        assert store.calls == calls + 4  # three pages, and the end
        store.objects["lake/days/c.csv"] = kept
        await anyio.sleep(2)
        assert store.calls == calls + 4 + 2
        assert journal.short[9:] == [("deleted", uri("b"))]
        assert sensor.is_quiet


async def test_an_absence_that_cannot_be_confirmed_waits_for_the_next_listing() -> None:
    store, journal = days(*"abc"), Journal()
    async with running(make_sensor(store, interval_seconds=30), journal) as sensor:
        await settle(sensor)
        store.delete("lake/days/b.csv")
        await anyio.sleep(26)
        store.failures = 1
        await anyio.sleep(2)
        assert len(journal.arrivals) == 3
        await anyio.sleep(5)
        assert journal.short[3:] == [("deleted", uri("b"))]


async def test_many_absences_are_confirmed_by_a_whole_listing() -> None:
    names = [f"{number:03}" for number in range(250)]
    store, journal = days(*names), Journal()
    store.page = 100
    async with running(make_sensor(store, interval_seconds=30), journal) as sensor:
        await settle(sensor)
        for name in names[:110]:
            store.delete(f"lake/days/{name}.csv")
        calls = store.calls
        await anyio.sleep(36)
        assert store.calls - calls == 6
        assert len(journal.arrivals) == 250 + 110


async def test_an_object_that_came_back_while_it_was_looked_for_is_not_deleted() -> None:
    store, journal = days(*"abc"), Journal()
    async with running(make_sensor(store, interval_seconds=30), journal) as sensor:
        await settle(sensor)
        store.delete("lake/days/b.csv")
        await anyio.sleep(26)
        store.seconds = 1.0
        await anyio.sleep(0.7)
        store.put("lake/days/b.csv")  # the answer that it is not there is on its way
        store.seconds = 0.0
        await sensor.hint([uri("b")])
        await anyio.sleep(3)
        assert ("deleted", uri("b")) not in journal.short
        assert journal.short[3:] == [("arrived", uri("b"))]


async def test_more_than_half_gone_is_not_believed_until_accepted() -> None:
    store, journal = days("a", "b", "c"), Journal()
    async with running(make_sensor(store), journal) as sensor:
        await settle(sensor)
        store.delete("lake/days/a.csv")
        store.delete("lake/days/b.csv")
        with pytest.raises(SensorError, match="Expected most of 3 known objects, found 2 gone"):
            await sensor.scan()
        assert health(sensor).state == "failed"
        assert "scan days --accept" in sensor.health.hint
        assert len(journal.arrivals) == 3
        store.put("lake/days/d.csv")
        with pytest.raises(SensorError):
            await sensor.scan()
        assert journal.short[3:] == [("arrived", uri("d"))]
        assert await sensor.scan(accept=True) == 2
        assert sorted(journal.short[4:]) == [("deleted", uri("a")), ("deleted", uri("b"))]
        assert sensor.health.state == "watching"


async def test_a_sensor_is_well_again_when_the_objects_are_back() -> None:
    store, journal = days("a", "b", "c"), Journal()
    async with running(make_sensor(store), journal) as sensor:
        await settle(sensor)
        objects, store.objects = store.objects, {}
        with pytest.raises(SensorError):
            await sensor.scan()
        store.objects = objects
        assert await sensor.scan() == 0
        assert sensor.health.state == "watching"
        assert len(journal.arrivals) == 3


async def test_a_listing_that_fails_on_the_way_goes_on() -> None:
    store, journal = days(*"abcdefgh"), Journal()
    told: list[str] = []
    sensor: BucketSensor = make_sensor(store, tell=lambda: told.append(sensor.health.state))
    async with running(sensor, journal):
        await settle(sensor)
        store.failures = 20
        calls = store.calls
        with pytest.raises(SensorError, match="the store is away"):
            await sensor.scan()
        assert health(sensor).state == "failed"
        await anyio.sleep(300)
        assert sensor.health.state == "watching"
        assert store.calls > calls + 20
        assert len(journal.arrivals) == 8
    assert "failed" in told
    assert told[-1] == "watching"


async def test_a_name_that_the_store_refuses_holds_up_no_hint() -> None:
    store, journal = days("a"), Journal()
    async with running(make_sensor(store), journal) as sensor:
        await settle(sensor)
        for number in range(AT_ONCE):
            store.refused.add(f"lake/days/no{number}.csv")
        store.put("lake/days/b.csv")
        await sensor.hint([uri(f"no{number}") for number in range(AT_ONCE)])
        await sensor.hint([uri("b")])
        assert journal.short[1:] == [("arrived", uri("b"))]
        assert sensor.health.state == "watching"


async def test_a_look_that_never_succeeds_is_given_up() -> None:
    store, journal = days("a"), Journal()
    async with running(make_sensor(store, interval_seconds=10_000), journal) as sensor:
        await settle(sensor)
        store.failures = 1000
        with anyio.fail_after(300):
            await sensor.hint([uri("a")])
        store.failures = 0
        assert len(journal.arrivals) == 1


async def test_rivals_by_the_thousand_are_each_looked_at_once_more() -> None:
    store, journal = FakeStore(1000), Journal()
    for number in range(2000):
        store.put(f"lake/days/{number}.csv")
        store.put(f"lake/days/{number}.csv.gz")
    async with running(make_sensor(store), journal) as sensor:
        await settle(sensor)
        assert store.calls < 3 * 2000
        assert sensor.is_quiet
    assert len(journal.known) == 4000
    last = {arrival.uri: arrival for arrival in journal.arrivals}
    assert all(arrival.problem for arrival in last.values())


async def test_no_secret_is_shown() -> None:
    store = days("a")
    async with running(make_sensor(store, secrets=["", "away"]), Journal()) as sensor:
        await settle(sensor)
        store.failures = 20
        with pytest.raises(SensorError, match=r"the store is \*\*\*"):
            await sensor.scan()
        assert sensor.health.error == "the store is ***"


async def test_two_objects_of_one_key_are_refused_until_one_is_gone() -> None:
    store, journal = days("a", "b", "c"), Journal()
    async with running(make_sensor(store), journal) as sensor:
        await settle(sensor)
        store.put("lake/days/a.csv.gz")
        await sensor.scan()
        await settle(sensor)
        refused = [arrival for arrival in journal.arrivals if arrival.problem]
        assert {arrival.uri for arrival in refused} == {uri("a"), uri("a") + ".gz"}
        for arrival in refused:
            assert arrival.problem == (
                f"Expected one object for key a, found {uri('a')}, {uri('a')}.gz"
            )
        count = len(journal.arrivals)
        assert await sensor.scan() == 0
        store.delete("lake/days/a.csv")
        await sensor.scan()
        await settle(sensor)
        assert journal.short[count:] == [("deleted", uri("a")), ("arrived", uri("a") + ".gz")]
        assert not journal.arrivals[-1].problem
        assert journal.arrivals[-1].partition == "a"


async def test_two_new_objects_of_one_key_are_both_refused_at_once() -> None:
    store, journal = days("a"), Journal()
    store.put("lake/days/a.csv.gz")
    async with running(make_sensor(store), journal) as sensor:
        await settle(sensor)
        assert all(arrival.problem for arrival in journal.arrivals)
        assert {arrival.uri for arrival in journal.arrivals} == {uri("a"), uri("a") + ".gz"}


async def test_a_hint_is_a_look() -> None:
    store, journal = days("a", "b", "c"), Journal()
    async with running(make_sensor(store, webhook="/hooks/lake"), journal) as sensor:
        await settle(sensor)
        store.put("lake/days/d.csv")
        store.delete("lake/days/a.csv")
        await HINTS.give("/hooks/lake", [uri("d"), uri("a"), uri("d"), uri("b")])
        # It returns when what follows is recorded.
        assert sorted(journal.short[3:]) == [("arrived", uri("d")), ("deleted", uri("a"))]
        assert await sensor.scan() == 0
    with pytest.raises(UsageError, match="takes hints"):
        await HINTS.give("/hooks/lake", [uri("d")])


@pytest.mark.parametrize(
    "url", ["s3://lake/other/a.csv", "gs://lake/days/a.csv", "nothing", "s3://lake/days/%zz.csv"]
)
async def test_a_hint_of_something_else_is_passed_over(url: str) -> None:
    store, journal = days("a"), Journal()
    async with running(make_sensor(store), journal) as sensor:
        await settle(sensor)
        calls = store.calls
        await sensor.hint([url])
        assert store.calls == calls


async def test_a_look_that_fails_is_repeated() -> None:
    store, journal = days("a"), Journal()
    async with running(make_sensor(store, interval_seconds=9999), journal) as sensor:
        await settle(sensor)
        store.put("lake/days/b.csv")
        store.failures = 4
        sensor.look_at([uri("b")])
        await anyio.sleep(0.5)
        assert health(sensor).state == "failed"
        assert sensor.health.lag == 1
        await anyio.sleep(30)
        assert sensor.health.state == "watching"
        assert journal.short[1:] == [("arrived", uri("b"))]


async def test_what_cannot_be_recorded_is_offered_again_by_the_next_run() -> None:
    store, journal = days("a", "b"), Journal()
    journal.fails = 1
    sensor = make_sensor(store)
    with pytest.raises(OSError, match="the ledger is full"):
        await sensor.run(journal.emit)
    assert not sensor.is_quiet
    async with running(sensor, journal):
        await settle(sensor)
    assert sorted(journal.short) == [("arrived", uri("a")), ("arrived", uri("b"))]


async def test_a_deletion_that_could_not_be_recorded_is_told_in_the_end() -> None:
    store, journal = days("a", "b", "c"), Journal()
    sensor = make_sensor(store, interval_seconds=9999)
    async with running(sensor, journal):
        await settle(sensor)
    store.delete("lake/days/a.csv")
    sensor.look_at([uri("a")])
    journal.fails = 1
    with pytest.raises(OSError, match="the ledger is full"):
        await sensor.run(journal.emit)
    objects = sensor._objects
    objects.arrive(Entry("lake/days/a.csv", ObjectIdentity("new", "", 1, 1.0)), 1.0)
    objects.leave("lake/days/a.csv", 2.0)
    async with running(sensor, journal):
        await settle(sensor)
    assert journal.short[3:] == [("deleted", uri("a"))]


async def test_a_stopped_sensor_ends_a_scan() -> None:
    store, journal = days("a"), Journal()
    sensor = make_sensor(store)
    with pytest.raises(SensorError, match="running"):
        await sensor.scan()
    async with running(sensor, journal):
        await settle(sensor)


async def test_what_an_ingest_read_is_no_news() -> None:
    store, journal = days("a"), Journal()
    async with running(make_sensor(store), journal) as sensor:
        await settle(sensor)
        store.put("lake/days/a.csv")
        sensor.confirm(uri("a"), store.objects["lake/days/a.csv"])
        sensor.confirm(uri("never"), ObjectIdentity("x", "", 1, 1.0))
        assert await sensor.scan() == 0
        store.delete("lake/days/a.csv")
        with pytest.raises(SensorError):
            await sensor.scan()


async def test_a_look_that_a_listing_overtakes_brings_nothing_back() -> None:
    store, journal = days("a"), Journal()
    async with running(make_sensor(store), journal) as sensor:
        await settle(sensor)
        store.late = lambda: 5.0
        sensor.look_at([uri("a")])
        await anyio.sleep(1)
        store.late = lambda: 0.0
        store.put("lake/days/a.csv")
        assert await sensor.scan() == 1
        await settle(sensor)
        assert await sensor.scan() == 0
    assert journal.known == {uri("a"): store.objects["lake/days/a.csv"]}


async def test_a_deletion_that_a_listing_overtakes_is_none() -> None:
    store, journal = days("a", "b", "c"), Journal()
    async with running(make_sensor(store), journal) as sensor:
        await settle(sensor)
        store.delete("lake/days/a.csv")
        sensor.look_at([uri("a")])
        await anyio.sleep(0.1)
        store.late = lambda: 5.0
        await anyio.sleep(1)
        store.late = lambda: 0.0
        store.put("lake/days/a.csv")
        assert await sensor.scan() == 1
        await settle(sensor)
        assert await sensor.scan() == 0
    assert [kind for kind, _ in journal.short] == ["arrived"] * 4


async def test_a_page_from_before_an_ingest_says_nothing_of_what_that_read() -> None:
    store, journal = days("a"), Journal()
    async with running(make_sensor(store), journal) as sensor:
        await settle(sensor)
        async with anyio.create_task_group() as tasks:
            store.late = lambda: 5.0
            tasks.start_soon(sensor.scan)
            await anyio.sleep(1)
            store.put("lake/days/a.csv")
            sensor.confirm(uri("a"), store.objects["lake/days/a.csv"])
        store.late = lambda: 0.0
        assert await sensor.scan() == 0
    assert journal.short == [("arrived", uri("a"))]


async def test_who_lists_waits_for_who_records() -> None:
    store, journal = FakeStore(page=1000), Journal()
    for number in range(3 * ROOM):
        store.put(f"lake/days/{number:05}.csv")
    most = 0

    async def slow(batch: Batch) -> None:
        nonlocal most
        most = max(most, sensor.health.lag)
        await anyio.sleep(1)
        await journal.emit(batch)

    sensor = make_sensor(store, interval_seconds=9999)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sensor.run, slow)
        while not sensor.checked:  # noqa: ASYNC110 - on a clock that jumps
            await anyio.sleep(0.1)
        await settle(sensor)
        tasks.cancel_scope.cancel()
    assert len(journal.arrivals) == 3 * ROOM
    assert most <= ROOM + 1000
