"""How long files have been as they are, by their own timestamps, whatever the clock does."""

from collections.abc import Callable

import anyio

from afresh.sensors.base import Identity

JUMP_SECONDS = 0.5
"""Between two looks at both clocks: the one was set, or the machine slept."""


class Ages:
    """Compares timestamps with `now` (seconds since 1970), and that with the monotonic clock."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._ahead: float | None = None
        self._jumped_at = float("-inf")

    def age(self, identity: Identity) -> float:
        """Give the seconds since its last change; below 0 where the clock was set back since."""
        # Only ctime is beyond the reach of writers; mtime is set by cp -p, tar and others.
        return self._now() - identity.ctime_ns / 1e9

    def stable_seconds(self, identity: Identity) -> float:
        """Give for how long it surely has not changed: since the clock's last jump at most.

        Else a file that is being written looks old when the clock is set, or the machine slept.
        """
        at = anyio.current_time()
        ahead = self._now() - at
        if self._ahead is not None and abs(ahead - self._ahead) > JUMP_SECONDS:
            self._jumped_at = at
        self._ahead = ahead
        return max(0.0, min(self.age(identity), at - self._jumped_at))
