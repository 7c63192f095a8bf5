"""A mapping for thousands of owners of which most have one entry."""

from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

V = TypeVar("V")


class Slim(Generic[V]):
    """Strings to values. The first entry is held as such: a dict is made for the second."""

    __slots__ = ("_key", "_rest", "_value")

    def __init__(self, items: Iterable[tuple[str, V]] = ()) -> None:
        self._key: str | None = None
        self._value: V | None = None
        self._rest: dict[str, V] | None = None
        for key, value in items:
            self[key] = value

    def get(self, key: str) -> V | None:
        """What is there for a key, None if nothing is."""
        if self._rest is not None:
            return self._rest.get(key)
        return self._value if self._key == key else None

    def __getitem__(self, key: str) -> V:
        """What is there for a key. Raises KeyError if nothing is."""
        if self._rest is not None:
            return self._rest[key]
        if self._key != key or self._value is None:
            raise KeyError(key)
        return self._value

    def __iter__(self) -> Iterator[str]:
        """All keys, the oldest first."""
        return (key for key, _ in self.items())

    def __len__(self) -> int:
        """How many entries there are."""
        return len(self._rest) if self._rest is not None else int(self._key is not None)

    def __setitem__(self, key: str, value: V) -> None:
        """Keep a value for a key."""
        if self._rest is not None:
            self._rest[key] = value
        elif self._key is None or self._key == key:
            self._key, self._value = key, value
        else:
            self._rest = {**dict(self.items()), key: value}
            self._key = self._value = None

    def __delitem__(self, key: str) -> None:
        """Forget a key. Raises KeyError if nothing is there."""
        if self._rest is not None:
            del self._rest[key]
        elif self._key == key:
            self._key = self._value = None
        else:
            raise KeyError(key)

    def values(self) -> Iterator[V]:
        """All values, the oldest first."""
        return (value for _, value in self.items())

    def items(self) -> Iterator[tuple[str, V]]:
        """All entries, the oldest first."""
        if self._rest is not None:
            yield from self._rest.items()
        elif self._key is not None and self._value is not None:
            yield self._key, self._value
