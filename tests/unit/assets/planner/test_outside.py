"""A source whose data is fetched from a server: one that fails takes one worker, not all."""

from typing import Literal

from afresh.assets.manifest import Manifest, Sensor, Source
from afresh.assets.planner.changes import Arrived, Ended, Paused
from afresh.assets.planner.content import Columns, Content
from afresh.assets.planner.look import Looks
from afresh.assets.planner.nodes import Attempt
from afresh.assets.planner.planner import Planner
from afresh.assets.planner.topology import build_topology


def make(most: int = 2) -> Planner:
    bucket, files = Sensor("bucket", {}), Sensor("file", {"pattern": "landing/{k}"})
    sources = (
        Source("lake", bucket, captures=("k",)),
        Source("pond", bucket, captures=("k",)),
        Source("landed", files, captures=("k",)),
    )
    planner = Planner(build_topology(Manifest("d", sources)), epoch=1)
    planner.ingests.outside.most = most
    return planner


def arrive(
    planner: Planner, source: str, *keys: str, kind: Literal["arrived", "deleted"] = "arrived"
) -> None:
    arrivals = [Arrived(source, key, planner.epoch * 100 + n, kind) for n, key in enumerate(keys)]
    planner.step(arrivals, 0.0)


def end(planner: Planner, attempt: Attempt, *, kind: str = "", retry_at: float = 0.0) -> None:
    content = Content(1, "f", Columns.of({"a": "h"}), "uri", "hash", 1)
    epoch = planner.epoch + 1
    if kind:
        planner.step([Ended(attempt, epoch, None, kind, kind, retry_at)], 0.0)
    else:
        planner.step([Ended(attempt, epoch, (content,))], 0.0)


def started(planner: Planner, free: int = 100) -> list[Attempt]:
    return planner.start(free, 0.0)


def names(attempts: list[Attempt]) -> list[str]:
    return [f"{attempt.node.plan.name} {attempt.node.key}" for attempt in attempts]


def test_each_has_as_many_workers_as_there_are() -> None:
    planner = make()
    arrive(planner, "lake", *"abcde")
    arrive(planner, "pond", *"abc")
    arrive(planner, "landed", *"abcde")
    first = started(planner)
    assert sorted(names(first)) == sorted(
        ["lake a", "lake b", "pond a", "pond b", *(f"landed {key}" for key in "abcde")]
    )
    assert not planner.idle
    end(planner, first[0])
    assert names(started(planner)) == ["lake c"]


def test_what_waited_goes_before_what_came_later() -> None:
    planner = make(1)
    arrive(planner, "lake", *"abc")
    (one,) = started(planner)
    done = [one]
    for later in "defgh":
        arrive(planner, "lake", later)
        end(planner, done[-1])
        arrive(planner, "lake", later + later)
        done += started(planner)
    while done[-1].node.running is not None:
        end(planner, done[-1])
        done += started(planner)
    keys = [attempt.node.key for attempt in done]
    assert keys == ["a", "b", "c", "d", "dd", "e", "ee", "f", "ff", "g", "gg", "h", "hh"]


def test_while_its_store_fails_one_is_tried_at_a_time() -> None:
    planner = make()
    arrive(planner, "lake", *"abcdef")
    one, two = started(planner)
    end(planner, one, kind="storage", retry_at=5.0)
    assert started(planner) == []
    end(planner, two, kind="storage", retry_at=5.0)
    (three,) = started(planner)
    end(planner, three, kind="storage", retry_at=5.0)
    (four,) = started(planner)
    assert names([three, four]) == ["lake c", "lake d"]
    end(planner, four)
    assert names(started(planner)) == ["lake e", "lake f"]


def test_an_arrival_that_could_not_be_stored_says_why_it_waits() -> None:
    planner = make()
    arrive(planner, "lake", "a")
    (one,) = started(planner)
    end(planner, one, kind="storage", retry_at=5.0)
    view = Looks(planner).look("lake", "a", 2.0)
    assert (view.state, [reason.kind for reason in view.reasons]) == ("stale", ["event", "retry"])
    assert view.reasons[1].detail == "attempt 1 failed (storage); again in 3.0 s"


def test_what_failed_is_tried_again_at_its_time() -> None:
    planner = make()
    arrive(planner, "lake", *"ab")
    for attempt in started(planner):
        end(planner, attempt, kind="storage", retry_at=5.0)
    assert started(planner) == []
    assert not planner.idle
    assert planner.next_wake() == 5.0
    planner.step([], 5.0)
    (one,) = started(planner)
    end(planner, one)
    (two,) = started(planner)
    end(planner, two)
    assert planner.idle


def test_an_object_that_cannot_be_had_alone_holds_up_nobody() -> None:
    planner = make()
    arrive(planner, "lake", *"abcd")
    one, two = started(planner)
    end(planner, one, kind="storage", retry_at=5.0)
    end(planner, two)
    assert names(started(planner)) == ["lake c", "lake d"]


def test_a_deletion_asks_nobody_and_says_nothing_of_the_store() -> None:
    planner = make()
    arrive(planner, "lake", *"abcd")
    one, two = started(planner)
    end(planner, one, kind="storage", retry_at=5.0)
    arrive(planner, "lake", "x", kind="deleted")
    (gone,) = started(planner)
    assert gone.kind == "delete"
    end(planner, gone)
    assert started(planner) == []
    end(planner, two, kind="storage", retry_at=5.0)
    assert names(started(planner)) == ["lake c"]


def test_what_waits_while_its_unit_is_paused_is_read_when_it_goes_on() -> None:
    planner = make(1)
    arrive(planner, "lake", *"ab")
    (one,) = started(planner)
    planner.step([Paused((("lake", "b"),), on=True)], 0.0)
    end(planner, one)
    assert started(planner) == []
    planner.step([Paused((("lake", "b"),), on=False)], 0.0)
    assert names(started(planner)) == ["lake b"]


def test_what_is_paused_while_it_waits_leaves_its_place_to_the_next() -> None:
    planner = make(1)
    arrive(planner, "lake", *"abc")
    (one,) = started(planner)
    planner.step([Paused((("lake", "b"),), on=True)], 0.0)
    end(planner, one)
    assert names(started(planner)) == ["lake c"]


def test_what_is_deleted_while_it_waits_leaves_its_place_to_the_next() -> None:
    planner = make(1)
    arrive(planner, "lake", *"abc")
    (one,) = started(planner)
    arrive(planner, "lake", "b", kind="deleted")
    end(planner, one)
    (gone,) = started(planner)
    assert (gone.kind, gone.node.key) == ("delete", "b")
    end(planner, gone)
    assert names(started(planner)) == ["lake c"]
