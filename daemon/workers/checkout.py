"""Who waits for a worker, and the workers that wait for a task."""

from collections import deque
from collections.abc import Callable

import anyio

from afresh.assets.errors import WorkerError
from afresh.daemon.workers.crew import Crew
from afresh.daemon.workers.seat import Seat

Place = tuple[Crew, Seat]


class _Ticket:
    """Somebody who waits for a worker."""

    def __init__(self) -> None:
        self.given = anyio.Event()
        self.place: Place | None = None
        self.error = ""


class Checkout:
    """Hands workers out in the order of asking. `give_back` gets one that nobody took after all."""

    def __init__(self, give_back: Callable[[Crew, Seat], None]) -> None:
        self._give_back = give_back
        self._idle: deque[Place] = deque()
        self._waiting: deque[_Ticket] = deque()

    @property
    def waiting(self) -> int:
        """How many wait for a worker."""
        return len(self._waiting)

    async def take(self) -> Place:
        """Wait for a worker. Raises WorkerError when none will come."""
        ticket = _Ticket()
        self._waiting.append(ticket)
        self._match()
        if ticket.place is None:
            await self._wait(ticket)
        if ticket.place is None:
            raise WorkerError(ticket.error)
        return ticket.place

    def offer(self, crew: Crew, seat: Seat) -> None:
        """A worker can take a task."""
        self._idle.append((crew, seat))
        self._match()

    def take_idle(self) -> Place | None:
        """Take the worker that has waited longest for a task; None if nobody waits."""
        return self._idle.popleft() if self._idle else None

    def forget_idle(self) -> None:
        """Hand out none of those that were offered so far."""
        self._idle.clear()

    def refuse(self, error: str) -> None:
        """Let nobody wait any longer."""
        while self._waiting:
            ticket = self._waiting.popleft()
            ticket.error = error
            ticket.given.set()

    def _match(self) -> None:
        while self._waiting and self._idle:
            # The one that was used last has the warmest caches.
            crew, seat = self._idle.pop()
            if seat.state == "idle" and not seat.hung_up:
                seat.state = "busy"
                ticket = self._waiting.popleft()
                ticket.place = (crew, seat)
                ticket.given.set()

    async def _wait(self, ticket: _Ticket) -> None:
        try:
            await ticket.given.wait()
        except anyio.get_cancelled_exc_class():
            if ticket in self._waiting:
                self._waiting.remove(ticket)
            if ticket.place is not None:
                self._give_back(*ticket.place)
            raise
