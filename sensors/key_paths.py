"""The paths that are there, by key; of one key there may be one, or all of them are refused."""

import itertools
from collections.abc import Sequence

NAMED_AT_MOST = 4


def refusal(thing: str, source: str, key: str, names: Sequence[str]) -> str:
    """Say why the files or objects of one key are refused; some are named, all if they are few."""
    of = f"key {key}" if key else f"source {source}"
    named = ", ".join(names[: NAMED_AT_MOST + 1])
    more = " and maybe more" if len(names) > NAMED_AT_MOST else ""
    return f"Expected one {thing} for {of}, found {named}{more}"


class KeyPaths:
    """Most keys have one path: then it stands alone, as there may be millions."""

    __slots__ = ("_paths",)

    def __init__(self) -> None:
        self._paths: dict[str, str | dict[str, None]] = {}

    def add(self, path: str, key: str) -> None:
        """Note that a path of this key is there."""
        paths = self._paths.setdefault(key, path)
        if isinstance(paths, dict):
            paths[path] = None
        elif paths != path:
            self._paths[key] = {paths: None, path: None}

    def discard(self, path: str, key: str) -> None:
        """Note that this path of the key is not there."""
        paths = self._paths.get(key)
        if isinstance(paths, dict):
            paths.pop(path, None)
            if len(paths) == 1:
                self._paths[key] = next(iter(paths))
        elif paths == path:
            del self._paths[key]

    def rivals(self, path: str, key: str, limit: int = NAMED_AT_MOST) -> list[str]:
        """Give at most so many of the other paths of this key."""
        paths = self._paths.get(key, ())
        others = (paths,) if isinstance(paths, str) else paths
        return list(itertools.islice((other for other in others if other != path), limit))
