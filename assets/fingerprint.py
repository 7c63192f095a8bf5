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
        number: dict[Any, int] = {}
        low: dict[Any, int] = {}
        nodes: dict[Any, Node] = {}
        objects: dict[Any, Any] = {}
        component: list[Any] = []
        waiting: set[Any] = set()
        path: list[tuple[Any, int]] = []

        def open_(value: Any) -> None:
            mine = key(value)
            number[mine] = low[mine] = len(number)
            objects[mine] = value
            nodes[mine] = self.reach.expand(value)
            component.append(mine)
            waiting.add(mine)
            path.append((mine, 0))

        open_(start)
        while path:
            mine, at = path.pop()
            children = nodes[mine].children
            while at < len(children):
                child = key(children[at])
                if child not in self.done:
                    if child not in number:
                        path.append((mine, at))
                        open_(children[at])
                        break
                    if child in waiting:
                        low[mine] = min(low[mine], low[child])
                at += 1
            else:
                if low[mine] == number[mine]:
                    place = len(component) - 1
                    while component[place] != mine:
                        place -= 1
                    members = component[place:]
                    del component[place:]
                    waiting.difference_update(members)
                    self._finish(members, nodes, objects)
                if path:
                    parent = path[-1][0]
                    low[parent] = min(low[parent], low[mine])

    def _finish(self, members: list[Any], nodes: dict[Any, Node], objects: dict[Any, Any]) -> None:
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


def key(value: Any) -> Any:
    """Tell definitions apart: by identity, bindings by module and name."""
    return value if isinstance(value, Binding) else id(value)
