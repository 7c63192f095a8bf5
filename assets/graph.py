"""The graph of the declared assets: who reads whom, in which order, and where it bites its tail."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from afresh.assets.cycles import cycles
from afresh.assets.manifest import Function, Input, Manifest, Output, Source

T = TypeVar("T")


class Graph:
    """The assets of a manifest. Dependencies on names that nothing declares are left out.

    `up` and `down` map each asset to what it reads and what reads it, in the order of declaration;
    `function_of` the derived ones to their function, `source_of` the others to their source.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.source_of: dict[str, Source] = {source.name: source for source in manifest.sources}
        self.function_of: dict[str, Function] = {}
        self.output_of: dict[str, Output] = {}
        for function in manifest.functions:
            for output in function.outputs:
                self.function_of[output.asset] = function
                self.output_of[output.asset] = output
        self.assets: tuple[str, ...] = (*self.source_of, *self.function_of)
        self.up: dict[str, tuple[str, ...]] = dict.fromkeys(self.assets, ())
        down: dict[str, list[str]] = {asset: [] for asset in self.assets}
        for asset, function in self.function_of.items():
            read = dict.fromkeys(i.asset for i in function.inputs if i.asset in down)
            self.up[asset] = tuple(read)
            for name in read:
                down[name].append(asset)
        self.down: dict[str, tuple[str, ...]] = {a: tuple(names) for a, names in down.items()}

    def __contains__(self, asset: str) -> bool:
        return asset in self.up

    def inputs(self, asset: str) -> tuple[Input, ...]:
        """Give what the asset's function is given; () for a source."""
        function = self.function_of.get(asset)
        return function.inputs if function is not None else ()

    def tags(self, asset: str) -> tuple[str, ...]:
        """Give the tags it was declared with."""
        return self._described(asset).tags

    def group(self, asset: str) -> str:
        """Give the group it was declared in, "" for none."""
        return self._described(asset).group

    def reach(self, asset: str, edges: Mapping[str, Sequence[str]], depth: int | None) -> set[str]:
        """Give what `up` or `down` lead to within `depth` steps (None: all), itself too."""
        return reach([asset], lambda name: edges[name], depth)

    def order(self) -> list[str]:
        """Give all assets, each after what it reads; members of cycles are left out."""
        waiting = {asset: len(read) for asset, read in self.up.items()}
        ready = deque(asset for asset, count in waiting.items() if not count)
        ordered = []
        while ready:
            asset = ready.popleft()
            ordered.append(asset)
            for reader in self.down[asset]:
                waiting[reader] -= 1
                if not waiting[reader]:
                    ready.append(reader)
        return ordered

    def cycles(self) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
        """Give the knots of assets that need each other: a shortest cycle, and the other members.

        A cycle is in the order of the data: each is read by the next, the last by the first.
        """
        done = set(self.order())
        left = {a: [d for d in self.down[a] if d not in done] for a in self.up if a not in done}
        return list(cycles(left))

    def _described(self, asset: str) -> Source | Output:
        return self.source_of[asset] if asset in self.source_of else self.output_of[asset]


def reach(start: Iterable[T], next_of: Callable[[T], Iterable[T]], depth: int | None) -> set[T]:
    """Walk breadth first, at most `depth` steps (None: to the end); the start is included."""
    seen = set(start)
    edge = list(seen)
    while edge and (depth is None or depth > 0):
        depth = None if depth is None else depth - 1
        found = []
        for item in edge:
            for other in next_of(item):
                if other not in seen:
                    seen.add(other)
                    found.append(other)
        edge = found
    return seen
