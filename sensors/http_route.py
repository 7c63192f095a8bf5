"""What a sensor that is called over HTTP serves: a path, its limits, and who answers."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One whole request. Names of headers are in lower case; of several of a name, the last."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An answer: what it says is JSON."""

    status: int
    said: Mapping[str, object]
    headers: Mapping[str, str] = field(default_factory=dict)


Answer = Callable[[HttpRequest], Awaitable[HttpResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """Who answers at a path. A larger body is refused (413) before it is read."""

    answer: Answer
    max_bytes: int
    methods: frozenset[str] = frozenset({"POST"})


class HttpRoutes(Protocol):
    """The daemon's HTTP server, as sensors see it."""

    def serving(self, path: str, route: Route) -> AbstractAsyncContextManager[str]:
        """Serve a path meanwhile; gives the server's address, such as http://127.0.0.1:8787.

        Raises SensorError where the path is taken, or nothing can listen at the address.
        """
        ...
