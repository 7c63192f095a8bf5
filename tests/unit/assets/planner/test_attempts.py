"""How attempts are counted, and what of a request outlasts one that failed."""

from random import Random

import pytest

from afresh.assets.manifest import Function, Input, Manifest, Output, Retry, Sensor, Source
from afresh.assets.planner.changes import Arrived, Ended, Requested
from afresh.assets.planner.content import Columns, Content
from afresh.assets.planner.nodes import Attempt
from afresh.assets.planner.planner import Planner
from afresh.assets.planner.topology import build_topology
from afresh.daemon.attempts.run_outcomes import end_run
from afresh.daemon.workers.task import Failed, Result


def content(version: int) -> Content:
    return Content(version, f"f{version}", Columns.of({"a": str(version)}), created_at=1.0)


class Story:
    """A source and an asset that reads it. Time passes by itself."""

    def __init__(self, *, suspended: bool = False) -> None:
        functions = [
            Function(
                name, (Input("p", reads, "all", "pandas"),), (Output(name, "pandas"),), "c",
                retry=Retry(attempts=2),
            )
            for reads, name in (("s", "f"), ("f", "g"))
        ]  # fmt: skip
        manifest = Manifest(
            "d",
            (Source("s", Sensor("file", {"pattern": "s.csv"})),),
            tuple(functions),
            kept=("f",) if suspended else (),
        )
        self.planner = Planner(build_topology(manifest), epoch=1)
        self.count = 0
        self.now = 0.0

    def start(self) -> Attempt:
        self.now += 10.0
        self.planner.step([], self.now)
        (attempt,) = self.planner.start(9, self.now)
        return attempt

    def arrive(self) -> None:
        """A file comes and is read."""
        self.count += 1
        self.planner.step([Arrived("s", "", self.count, "arrived")], self.now)
        ingest = next(each for each in self.planner.start(9, self.now) if each.kind == "ingest")
        self.end(ingest, content(self.count))

    def end(self, attempt: Attempt, made: Content) -> None:
        epoch = attempt.epoch or self.planner.epoch + 1
        self.planner.step([Ended(attempt, epoch, (made,))], self.now)

    def fail(self, attempt: Attempt, kind: str = "raised", *, final: bool = False) -> None:
        retry_at = None if final else self.now + 5.0
        ended = Ended(attempt, attempt.epoch, None, kind, kind, retry_at)
        self.planner.step([ended], self.now)


def test_attempts_count_on_though_what_they_read_has_changed() -> None:
    story = Story()
    story.arrive()
    first = story.start()
    story.fail(first)
    story.arrive()
    second = story.start()
    assert second.run_key != first.run_key
    assert (first.number, second.number) == (1, 2)
    story.fail(second, final=True)
    story.arrive()
    assert story.start().number == 1


@pytest.mark.parametrize("full", [0, 5])
def test_what_could_not_be_stored_is_not_counted(full: int) -> None:
    story = Story()
    story.arrive()
    for _ in range(full):
        story.fail(story.start(), "storage")
    attempt = story.start()
    assert (attempt.number, attempt.tries) == (full + 1, 1)
    failed = Result("r", failed=Failed("raised", "boom"))
    ended = end_run(attempt, failed, story.now, Random(1)).ended
    assert ended is not None
    assert ended.retry_at is not None, "there is one more"
    story.fail(attempt)
    ended = end_run(story.start(), failed, story.now, Random(1)).ended
    assert ended is not None
    assert ended.retry_at is None


def test_what_is_to_run_by_force_is_not_left_at_a_failed_attempt() -> None:
    story = Story()
    story.arrive()
    story.end(story.start(), content(1))
    story.end(story.start(), content(1))
    story.planner.step([Requested(story.planner.epoch + 1, (("f", ""),), True, 9)], story.now)
    first = story.start()
    assert first.forced
    story.fail(first)
    again = story.start()
    assert (again.number, again.forced) == (2, True)


def test_what_does_not_import_is_not_run_for_what_reads_it() -> None:
    story = Story(suspended=True)
    story.planner.step([], 0.0)
    node = story.planner.graph.nodes["f"][""]
    story.arrive()
    story.planner.step([Requested(story.planner.epoch + 1, (("g", ""),), False, 9)], story.now)
    assert node.dirty
    assert story.planner.start(9, story.now) == []
