"""Loops of assets through outside writes: found by their causal depth, and stopped.

An arrival has a depth if it was caused by a run of an asset: one more than that of the arrivals
which the run came from. It has one if its file or object was written by such a run, or if it says
so itself (see `sensors.depth`). An asset whose own writes lead to it again and again grows it by
one each time round. A file that others write too has no depth unless it arrives while such a run is
under way, or within `GRACE_SECONDS` of its end. Only what Python code opens is known to be written.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct

from afresh.assets.planner.nodes import Attempt
from afresh.assets.planner.planner import Planner

MOST_ROUNDS = 10
"""Times in a row that a run may be caused by what its asset has written."""
GRACE_SECONDS = 5.0
START_SECONDS = 60.0
"""After a restart, the time in which a first look finds what was written before."""
MOST_REMEMBERED = 10_000


class Wrote(Struct, frozen=True):
    """What a run wrote to a path: until when an arrival of it is taken for that, and its depth."""

    until: float
    depth: int


class Found(Struct):
    """What the end of a run shows: events that it caused, by seq, and what it wrote, by path.

    `forgotten` are paths that were written before too many others.
    """

    deeper: dict[int, int]
    wrote: dict[str, Wrote]
    forgotten: list[str]


class Loops:
    """The depths of late. `stop` is given an asset's function and what leads back to it."""

    def __init__(
        self,
        path_of: Callable[[str], str],
        stop: Callable[[str, str], None],
        stopped: set[str] | None = None,
    ) -> None:
        self._path_of = path_of
        self._stop = stop
        self._arrivals: dict[int, tuple[str, float]] = {}
        self._of_path: dict[str, list[int]] = {}
        self._depths: dict[int, int] = {}
        self._told: dict[int, str] = {}
        self._runs: dict[str, int] = {}
        self._written: dict[str, Wrote] = {}
        self._stopped = dict.fromkeys(stopped or (), 0)
        self._forgiven: dict[str, int] = {}

    def restore(self, depths: Mapping[int, int], written: Mapping[str, Wrote], now: float) -> None:
        """Know again what a restart has forgotten."""
        self._depths |= depths
        until = now + START_SECONDS
        self._written |= {path: Wrote(until, wrote.depth) for path, wrote in written.items()}

    def arrived(self, events: Iterable[dict[str, Any]]) -> None:
        """These events are about to be recorded: those that have a depth are told it."""
        for event in events:
            if event["kind"] != "arrived":
                continue
            seq, depth = event["seq"], event.get("depth", 0)
            if depth:
                self._told[seq] = event["uri"]
            elif not (event["payload"] or event["staged"] or event["position"]):
                depth = self._look_at(event)
            if depth:
                self._depths[seq] = event["depth"] = depth
        while len(self._arrivals) > MOST_REMEMBERED:
            self._forget(next(iter(self._arrivals)))
        for known in (self._depths, self._told):
            while len(known) > MOST_REMEMBERED:
                del known[next(iter(known))]

    def _look_at(self, event: Mapping[str, Any]) -> int:
        """Note the arrival of a file or object; its depth if a run has written it."""
        path, seq, at = self._path_of(event["uri"]), event["seq"], event["observed_at"]
        self._arrivals[seq] = (path, at)
        self._of_path.setdefault(path, []).append(seq)
        wrote = self._written.get(path)
        return wrote.depth if wrote is not None and at <= wrote.until else 0

    def depth_of(self, attempt: Attempt) -> int:
        """How deep an attempt is: of what it came from the deepest; of a run one more."""
        depth = max((self._depths.get(seq, 0) for seq in attempt.events), default=0)
        if self._runs:
            events = set(attempt.events)
            depth = max(
                depth,
                *(
                    self._runs.get(part.run, 0) - 1
                    for item in attempt.pinned
                    for _, part in item.parts
                    if part.event in events
                ),
                0,
            )
        return depth + 1 if attempt.kind == "run" else depth

    def depth_of_run(self, run: str) -> int:
        """How deep a run was that ended of late, 0 if that is not known."""
        return self._runs.get(run, 0)

    def ended(self, attempt: Attempt, wrote: Iterable[str], now: float) -> Found:
        """An attempt ended; it wrote these files and objects, by their real paths and urls."""
        depth = self.depth_of(attempt)
        found = Found({}, {}, [])
        if depth > (attempt.kind == "run"):
            self._runs[attempt.run] = depth
            while len(self._runs) > MOST_REMEMBERED:
                del self._runs[next(iter(self._runs))]
        if attempt.kind == "run":
            self._judge_told(attempt)
        for path in wrote:
            self._written.pop(path, None)
            self._written[path] = found.wrote[path] = Wrote(now + GRACE_SECONDS, depth)
            for seq in self._of_path.get(path, ()):
                if self._arrivals[seq][1] >= attempt.started_at:
                    self._depths[seq] = found.deeper[seq] = depth
                    self._judge(attempt, path, depth)
        while len(self._written) > MOST_REMEMBERED:
            path = next(iter(self._written))
            del self._written[path]
            found.forgotten.append(path)
        return found

    def _judge_told(self, attempt: Attempt) -> None:
        """Stop what was caused by an event that says itself how deep it is."""
        for seq in attempt.events:
            if seq in self._told:
                forgiven = self._forgiven.get(attempt.node.plan.name, 0)
                depth = self._depths.get(seq, 0)
                self._judge(attempt, self._told[seq], depth, MOST_ROUNDS + forgiven)

    def _judge(self, attempt: Attempt, path: str, depth: int, most: int = MOST_ROUNDS) -> None:
        name = attempt.node.plan.name
        if depth > most and name not in self._stopped:
            self._stopped[name] = depth
            self._stop(name, path)

    def resumed(self, planner: Planner) -> list[str]:
        """Name the functions that were stopped and go on again; they begin anew."""
        found = [name for name in self._stopped if name not in planner.graph.stopped]
        if found:
            # What comes from outside goes on counting there.
            self._forgiven |= {name: self._stopped.pop(name) for name in found}
            self._depths.clear()
            self._written.clear()
            self._runs.clear()
        return found

    def _forget(self, seq: int) -> None:
        path, _ = self._arrivals.pop(seq)
        self._of_path[path].remove(seq)
        if not self._of_path[path]:
            del self._of_path[path]
