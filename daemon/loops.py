"""Loops of assets through outside writes: found by their causal depth, and stopped.

An arrival has a depth if its file was written by a run of an asset: one more than that run's, which
is that of the arrivals it came from. An asset whose own writes lead to it again and again grows it
by one each time round. A file that others write too has no depth unless it arrives while such a run
is under way, or within `GRACE_SECONDS` of its end. Only local files that Python code opens are
known, and not what was before a restart.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from afresh.assets.planner.nodes import Attempt
from afresh.assets.planner.planner import Planner

MOST_ROUNDS = 10
"""Times in a row that a run may be caused by what its asset has written."""
GRACE_SECONDS = 5.0
MOST_REMEMBERED = 10_000


class Loops:
    """The depths of late. `stop` is given an asset's function and the file that leads back."""

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
        self._written: dict[str, tuple[float, int]] = {}
        self._stopped = stopped or set()

    def arrived(self, events: Iterable[Mapping[str, Any]]) -> None:
        """These events were recorded."""
        for event in events:
            if (
                event["kind"] != "arrived"
                or event["payload"]
                or event["staged"]
                or event["position"]
            ):
                continue
            path, seq, at = self._path_of(event["uri"]), event["seq"], event["observed_at"]
            self._arrivals[seq] = (path, at)
            self._of_path.setdefault(path, []).append(seq)
            until, depth = self._written.get(path, (0.0, 0))
            if at <= until:
                self._depths[seq] = depth
        while len(self._arrivals) > MOST_REMEMBERED:
            self._forget(next(iter(self._arrivals)))

    def ended(self, attempt: Attempt, wrote: Iterable[str], now: float) -> None:
        """A run ended; it wrote these files, by their real paths."""
        depth = 1 + max((self._depths.get(seq, 0) for seq in attempt.events), default=0)
        for path in wrote:
            self._written.pop(path, None)
            self._written[path] = (now + GRACE_SECONDS, depth)
            for seq in self._of_path.get(path, ()):
                if self._arrivals[seq][1] >= attempt.started_at:
                    self._depths[seq] = depth
                    self._judge(attempt, path, depth)
        while len(self._written) > MOST_REMEMBERED:
            del self._written[next(iter(self._written))]

    def _judge(self, attempt: Attempt, path: str, depth: int) -> None:
        name = attempt.node.plan.name
        if depth > MOST_ROUNDS and name not in self._stopped:
            self._stopped.add(name)
            self._stop(name, path)

    def resumed(self, planner: Planner) -> list[str]:
        """Name the functions that were stopped and go on again; they begin anew."""
        found = [name for name in self._stopped if name not in planner.graph.stopped]
        if found:
            self._stopped.difference_update(found)
            self._depths.clear()
            self._written.clear()
        return found

    def _forget(self, seq: int) -> None:
        path, _ = self._arrivals.pop(seq)
        self._depths.pop(seq, None)
        self._of_path[path].remove(seq)
        if not self._of_path[path]:
            del self._of_path[path]
