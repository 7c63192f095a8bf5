"""The live view of `afresh up` on a terminal: counts by state, what ended last, throughput."""

import sys
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

import anyio
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from afresh.assets.errors import AfreshError
from afresh.daemon.api.status import table
from afresh.daemon.api.view import View
from afresh.daemon.cli.output import clean
from afresh.daemon.cli.up import sentence

_TICK_SECONDS = 0.25
_REST_TICKS = 8
"""Ticks after which it is drawn though nothing was told: a retry's time may have come."""
_SHARE = 20
"""Drawing takes at most one part in so many of the loop's time."""
_LAST = 8
_WINDOW_SECONDS = 10.0
_MOST_ASSETS = 30
_STYLES = {
    "running": "cyan",
    "stale": "yellow",
    "failed": "bold red",
    "blocked": "magenta",
    "paused": "blue",
    "missing": "dim",
    "fresh": "green",
}


class LiveView:
    """Told what goes on; `render` draws it."""

    def __init__(self, clock: Any = time.monotonic) -> None:
        self._clock = clock
        self._lines: deque[str] = deque(maxlen=_LAST)
        self._ended: deque[float] = deque()
        self._problems: deque[str] = deque(maxlen=3)
        self.is_ready = False
        self.changed = True
        self.view: View | None = None

    def ready(self, text: str) -> None:
        """Say that all is watched, in a line of its own that stays."""
        self.is_ready = True
        sys.stdout.write(f"ready: {clean(text)}\n")
        sys.stdout.flush()

    def event(self, line: dict[str, Any]) -> None:
        """Take note of an event or a run."""
        self.changed = True
        if text := sentence(line):
            self._lines.append(text)
            if line.get("type") == "run":
                self._ended.append(self._clock())

    def problem(self, text: str) -> None:
        """Show what a person should know."""
        self.changed = True
        self._problems.append(text)

    def watching(self, view: View) -> None:
        """Take the view that counts are asked from."""
        self.view = view

    def render(self, assets: list[dict[str, Any]]) -> RenderableType:
        """Draw what is known now."""
        now = self._clock()
        while self._ended and self._ended[0] < now - _WINDOW_SECONDS:
            self._ended.popleft()
        counts: dict[str, int] = {}
        for row in assets:
            for state, count in row["states"].items():
                counts[state] = counts.get(state, 0) + count
        summary = Text("  ").join(
            Text(f"{count} {state}", _STYLES.get(state, "")) for state, count in counts.items()
        )
        summary.append(f"   {len(self._ended) / _WINDOW_SECONDS:.1f} runs/s", "dim")
        return Group(
            summary,
            _assets(assets),
            *(Text(clean(line), "dim", no_wrap=True, overflow="ellipsis") for line in self._lines),
            *(Text(clean(text), "red") for text in self._problems),
        )


def _assets(rows: list[dict[str, Any]]) -> Table:
    """Draw a line an asset; those that are not fresh first where there are too many."""
    # What is left of the line is the reason's: names and states are cut last.
    grid = Table(box=None, pad_edge=False, expand=True)
    for title in ("asset", "state", "version"):
        grid.add_column(title, no_wrap=True, overflow="ellipsis")
    grid.add_column("reason", no_wrap=True, overflow="ellipsis", ratio=1)
    restless = sorted(rows, key=lambda row: set(row["states"]) <= {"fresh"})
    shown = rows if len(rows) <= _MOST_ASSETS else restless[:_MOST_ASSETS]
    for row in shown:
        version = "" if row["partitioned"] or row["version"] is None else f"@{row['version']}"
        grid.add_row(clean(row["asset"]), _states(row["states"]), version, clean(row["reason"]))
    if len(shown) < len(rows):
        grid.add_row(f"and {len(rows) - len(shown)} more", "", "", "")
    return grid


def _states(states: Mapping[str, int]) -> Text:
    if not states:
        return Text("no partition yet", "dim")
    if sum(states.values()) == 1:
        (state,) = states
        return Text(state, _STYLES.get(state, ""))
    return Text(", ").join(
        Text(f"{count} {state}", _STYLES.get(state, "")) for state, count in states.items()
    )


async def serve_live(app: Any, settings: Any, until_idle: bool) -> int:
    """Run the daemon with the live view; draws in the daemon's own loop, four times a second."""
    observer = LiveView()
    with Live(console=Console(), auto_refresh=False, transient=False) as live:

        async def draw() -> None:
            if observer.view is not None and observer.is_ready:
                observer.changed = False
                live.update(observer.render(await table(observer.view, {})), refresh=True)

        async def tick() -> None:
            resting, pause = 0, _TICK_SECONDS
            while True:
                await anyio.sleep(pause)
                resting += 1
                if not observer.changed and resting < _REST_TICKS:
                    continue
                begun = time.monotonic()
                try:
                    await draw()
                except (AfreshError, OSError) as error:
                    observer.problem(str(error))
                resting, pause = 0, max(_TICK_SECONDS, _SHARE * (time.monotonic() - begun))

        async with anyio.create_task_group() as group:
            group.start_soon(tick)
            code: int = await app.serve(settings, until_idle=until_idle, observer=observer)
            group.cancel_scope.cancel()
    return code
