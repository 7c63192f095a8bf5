"""Hints from outside: somebody was told that objects changed, and passes it on by a name.

Who serves a webhook calls `give("/hooks/lake", urls)`; the sensor of a bucket with
`notifications="webhook:/hooks/lake"` has registered what looks at them.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

from afresh.assets.errors import UsageError

Hint = Callable[[Sequence[str]], Awaitable[None]]
"""Takes URLs of objects that may have changed; returns when what follows is recorded."""


class Hints:
    """Who takes hints, by name. Several may share a name: each takes what is its own."""

    def __init__(self) -> None:
        self._takers: dict[str, list[Hint]] = {}

    @contextmanager
    def taking(self, name: str, hint: Hint) -> Iterator[None]:
        """Let hints of this name be given to `hint` meanwhile."""
        takers = self._takers.setdefault(name, [])
        takers.append(hint)
        try:
            yield
        finally:
            takers.remove(hint)
            if not takers:
                del self._takers[name]

    def __contains__(self, name: str) -> bool:
        """Say whether anybody takes hints of this name."""
        return name in self._takers

    async def give(self, name: str, urls: Sequence[str]) -> None:
        """Pass on that these objects may have changed; returns when what follows is recorded.

        Raises UsageError when nobody takes hints of this name.
        """
        takers = list(self._takers.get(name, ()))
        if not takers:
            raise UsageError(
                f"Expected a bucket that takes hints of {name!r}, found none",
                hint=f'declare one: bucket(..., notifications="webhook:{name}")',
            )
        for hint in takers:
            await hint(urls)


HINTS = Hints()
"""Those of this daemon."""
