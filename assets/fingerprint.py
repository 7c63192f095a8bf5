"""The code key: a hash of a function and of everything of the project that it reaches.

Reached are functions, classes and constants, by name, by attribute of the project's modules, by
closure and default, transitively. The project are the files below its root; a library counts by
the names that are used of it. A definition's hash is over its syntax (see `syntax`) and the hashes
of what it reads; definitions that read one another are hashed together.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any

from afresh.assets.digest import digest
from afresh.assets.manifest import Schema, Where
from afresh.assets.reach import Binding, Node, Reach
from afresh.assets.sources import forget_sources

_KEY = "afresh-code-1"
_NODE = "afresh-code-node-1"
_CYCLE = "afresh-code-cycle-1"


def code_key(
    function: Callable[..., Any],
    *,
    root: str,
    schemas: Sequence[Schema] = (),
    version: str | None = None,
) -> str:
    """Hash what a function does: its code and what its schemas do to data.

    `root` is the folder of the project. `version` replaces the fingerprint of the code; what the
    schemas do counts all the same. The same in every process and for every hash seed.
    """
    does = digest(_KEY, "schemas", *(schema.data_key for schema in schemas))
    if version is not None:
        return digest(_KEY, "version", version, does)
    return digest(_KEY, "code", _hasher(root).of(function), does)


def definition_line(definition: Any, *, root: str) -> Where | None:
    """Find where a class or function of the project is defined; None for anything else."""
    node = _hasher(root).reach.place(definition)
    if node is None:
        return None
    file, line = node
    return Where(os.path.relpath(file, root), line)


def forget() -> None:
    """Let go of what was read and hashed: when all that is loaded has its key."""
    _hashers.clear()
    forget_sources()


_hashers: dict[str, "_Hasher"] = {}


def _hasher(root: str) -> "_Hasher":
    known = _hashers.get(root)
    if known is None:
        known = _hashers[root] = _Hasher(root)
    return known


class _Hasher:
    """Hashes of definitions, each found once; what they are of is kept alive with them."""

    def __init__(self, root: str) -> None:
        self.reach = Reach(root)
        self.done: dict[Any, tuple[Any, str]] = {}

    def of(self, value: Any) -> str:
        node = self.reach.value(value)
        for child in node.children:
            self._visit(child)
        return self._digest(node)

    def _digest(self, node: Node) -> str:
        return digest(_NODE, *node.tokens, *(self.done[key(child)][1] for child in node.children))

    def _visit(self, start: Any) -> None:
        """Tarjan's algorithm without recursion: a chain may be longer than Python's stack."""
        if key(start) in self.done:
            return
        walk = _Walk(self.reach)
        walk.enter(start)
        while walk.path:
            mine, at = walk.path.pop()
            children = walk.nodes[mine].children
            while at < len(children) and self._passed(walk, mine, key(children[at])):
                at += 1
            if at < len(children):
                walk.path.append((mine, at))
                walk.enter(children[at])
                continue
            if walk.low[mine] == walk.number[mine]:
                self._finish(walk.component(mine), walk)
            if walk.path:
                parent = walk.path[-1][0]
                walk.low[parent] = min(walk.low[parent], walk.low[mine])

    def _passed(self, walk: "_Walk", mine: Any, child: Any) -> bool:
        """Tell whether a child need not be entered; one that is being looked at binds both."""
        if child in self.done:
            return True
        if child in walk.waiting:
            walk.low[mine] = min(walk.low[mine], walk.low[child])
        return child in walk.number

    def _finish(self, members: list[Any], walk: "_Walk") -> None:
        nodes, objects = walk.nodes, walk.objects
        alone = len(members) == 1 and members[0] not in {
            key(child) for child in nodes[members[0]].children
        }
        if alone:
            mine = members[0]
            self.done[mine] = (objects[mine], self._digest(nodes[mine]))
            return
        # Those that read one another: first each without the others, then each with these.
        inside = set(members)
        first = {}
        for mine in members:
            node = nodes[mine]
            outside = (
                "" if key(child) in inside else self.done[key(child)][1] for child in node.children
            )
            first[mine] = digest(_CYCLE, node.name, *node.tokens, *outside)
        second = {
            mine: digest(
                _CYCLE,
                first[mine],
                *(first.get(key(child), "") for child in nodes[mine].children),
            )
            for mine in members
        }
        together = digest(_CYCLE, *sorted(second.values()))
        for mine in members:
            self.done[mine] = (objects[mine], digest(_CYCLE, second[mine], together))


class _Walk:
    """One walk from a definition: what was entered, in which order, and how far back it leads."""

    def __init__(self, reach: Reach) -> None:
        self.reach = reach
        self.number: dict[Any, int] = {}
        self.low: dict[Any, int] = {}
        self.nodes: dict[Any, Node] = {}
        self.objects: dict[Any, Any] = {}
        self.stack: list[Any] = []
        self.waiting: set[Any] = set()
        self.path: list[tuple[Any, int]] = []

    def enter(self, value: Any) -> None:
        """Begin with a definition: its children come next."""
        mine = key(value)
        self.number[mine] = self.low[mine] = len(self.number)
        self.objects[mine] = value
        self.nodes[mine] = self.reach.expand(value)
        self.stack.append(mine)
        self.waiting.add(mine)
        self.path.append((mine, 0))

    def component(self, mine: Any) -> list[Any]:
        """Take off what was entered since this one: they read one another."""
        members: list[Any] = []
        while not members or members[-1] != mine:
            members.append(self.stack.pop())
        self.waiting.difference_update(members)
        return members


def key(value: Any) -> Any:
    """Tell definitions apart: by identity, bindings by module and name."""
    return value if isinstance(value, Binding) else id(value)
