"""Which sensors a path is for: patterns indexed by the text before their first capture."""

from collections import Counter
from collections.abc import Hashable
from typing import Generic, TypeVar

from afresh.assets.partition import Pattern

T = TypeVar("T", bound=Hashable)
_REMEMBERED = 200_000


def literal_prefix(pattern: Pattern) -> str:
    """Give what every path that matches begins with."""
    text = pattern.text.removeprefix("./")
    return text[: min((at for at in map(text.find, "{*?") if at >= 0), default=len(text))]


class Routes(Generic[T]):
    """Patterns and whose they are. One look-up costs the patterns with a fitting prefix, not all.

    `find` may be called in any thread, while the loop adds and removes.
    """

    def __init__(self) -> None:
        self._patterns: dict[str, dict[T, Pattern]] = {}
        self._lengths: Counter[int] = Counter()
        self._found: dict[str, tuple[tuple[T, str], ...]] = {}

    def add(self, owner: T, pattern: Pattern) -> None:
        """Let an owner have what its pattern matches."""
        prefix = literal_prefix(pattern)
        owners = self._patterns.setdefault(prefix, {})
        if not owners:
            self._lengths = self._lengths + Counter({len(prefix): 1})
        owners[owner] = pattern
        self._found = {}

    def remove(self, owner: T, pattern: Pattern) -> None:
        """Take an owner's pattern out."""
        prefix = literal_prefix(pattern)
        owners = self._patterns.get(prefix, {})
        owners.pop(owner, None)
        if not owners and self._patterns.pop(prefix, None) is not None:
            self._lengths = self._lengths - Counter({len(prefix): 1})
        self._found = {}

    def find(self, path: str) -> tuple[tuple[T, str], ...]:
        """Give (owner, key) of each pattern that matches a project-relative path."""
        found = self._found.get(path)
        if found is None:
            found = tuple(
                (owner, key)
                for length in self._lengths
                if length <= len(path)
                for owner, pattern in list(self._patterns.get(path[:length], {}).items())
                if (key := pattern.match(path)) is not None
            )
            if len(self._found) >= _REMEMBERED:
                self._found = {}
            self._found[path] = found
        return found
