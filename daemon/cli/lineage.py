"""`afresh lineage`: as a tree, for Graphviz, for Mermaid, or as data."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import click

from afresh.daemon.cli.call import Call, command
from afresh.daemon.cli.output import clean, say

_FEW = 6
"""Partitions of one asset that a tree shows one by one."""


@command("lineage")
@click.argument("ref")
@click.option("--up", "direction", flag_value="up", default="up", help="What it was made from.")
@click.option("--down", "direction", flag_value="down", help="What was made of it.")
@click.option("--depth", type=click.IntRange(min=0), metavar="N", help="So many steps.")
@click.option("--columns", is_flag=True, help="Which columns are read (none listed: all).")
@click.option("--collapse", is_flag=True, help="One node an asset.")
@click.option("--as", "form", type=click.Choice(("tree", "dot", "mermaid")), default="tree")
def lineage(  # noqa: PLR0917 - its options are its parameters
    call: Call,
    ref: str,
    direction: str,
    depth: int | None,
    columns: bool,
    collapse: bool,
    form: str,
) -> None:
    """Show what REF was made from, or with --down what was made of it."""
    down = direction == "down"
    params = {
        "ref": ref,
        "down": down,
        "depth": depth,
        "columns": columns,
        "collapse": collapse,
    }
    answer = call.ledger("lineage", params)
    if form == "dot":
        call.show(answer, _dot)
    elif form == "mermaid":
        call.show(answer, _mermaid)
    else:
        call.show(answer, lambda found: _draw(found, down=down))


def _draw(answer: dict[str, Any], *, down: bool) -> None:
    for line in _Tree(answer, down=down).draw():
        say(line)


class _Entry(NamedTuple):
    """A line of a tree: `ref` as `parent` reads it, or of an asset that so many are left out."""

    ref: str
    parent: str
    left_out: int
    branch: str
    """What stands before it."""
    indent: str
    """What stands before those below it."""


class _Tree:
    """Who stands below whom. What stands below one is drawn once, at its first place."""

    def __init__(self, answer: dict[str, Any], *, down: bool) -> None:
        self._nodes: dict[str, dict[str, Any]] = {node["ref"]: node for node in answer["nodes"]}
        self._below: dict[str, dict[str, None]] = {}
        self._runs: dict[str, str] = {}
        self._columns: dict[tuple[str, str], list[str]] = {}
        for edge in answer["edges"]:
            parent, child = (edge["from"], edge["to"]) if down else (edge["to"], edge["from"])
            self._below.setdefault(parent, {})[child] = None
            self._runs[edge["to"]] = edge["via"]
            self._columns[parent, child] = edge.get("columns", [])

    def draw(self) -> Iterator[str]:
        """Yield the lines."""
        shown: set[str] = set()
        for root in self._roots():
            yield self._line(root, "")
            # A stack of our own: chains may be deeper than Python calls.
            waiting = self._entries(root, "")
            while waiting:
                entry = waiting.pop()
                if entry.left_out:
                    yield f"{entry.branch}{entry.ref}: {entry.left_out} more partitions"
                    continue
                again = entry.ref in shown and entry.ref in self._below
                line = f"{entry.branch}{self._line(entry.ref, entry.parent)}"
                yield line + ("  (as above)" if again else "")
                if not again:
                    shown.add(entry.ref)
                    waiting += self._entries(entry.ref, entry.indent)

    def _roots(self) -> list[str]:
        """Give the first node, and the asset's every unit that nothing else leads to."""
        first = next(iter(self._nodes))
        asset = self._nodes[first]["asset"]
        below = {ref for found in self._below.values() for ref in found}
        return [
            ref
            for ref, node in self._nodes.items()
            if ref == first or (node["asset"] == asset and ref not in below)
        ]

    def _entries(self, parent: str, indent: str) -> list[_Entry]:
        """Give what stands below one, the last first."""
        found: list[_Entry] = []
        for ref, left_out in reversed(_grouped(self._below.get(parent, ()), self._nodes)):
            branch, below = ("├─ ", "│  ") if found else ("└─ ", "   ")
            found.append(_Entry(ref, parent, left_out, indent + branch, indent + below))
        return found

    def _line(self, ref: str, parent: str) -> str:
        node = self._nodes[ref]
        kind = " (source)" if node["kind"] == "source" else ""
        many = f" ({node['versions']} versions)" if node.get("versions", 1) > 1 else ""
        run = f"  run {self._runs[ref]}" if ref in self._runs else ""
        if node.get("made_by"):
            run = f"  made by run {node['made_by']}, confirmed by run {self._runs[ref]}"
        columns = self._columns.get((parent, ref))
        return f"{ref}{kind}{many}{run}" + (f"  reads {', '.join(columns)}" if columns else "")


def _grouped(refs: Iterable[str], nodes: dict[str, dict[str, Any]]) -> list[tuple[str, int]]:
    """Keep a few partitions of each asset; of the others (asset, how many)."""
    by_asset: dict[str, list[str]] = {}
    for ref in refs:
        by_asset.setdefault(nodes[ref]["asset"], []).append(ref)
    found: list[tuple[str, int]] = []
    for asset, of_asset in by_asset.items():
        kept = of_asset if len(of_asset) <= _FEW + 1 else of_asset[:_FEW]
        found += [(ref, 0) for ref in kept]
        if len(kept) < len(of_asset):
            found.append((asset, len(of_asset) - len(kept)))
    return found


def _dot(answer: dict[str, Any]) -> None:
    say("digraph lineage {")
    say("  rankdir=LR;")
    for node in answer["nodes"]:
        shape = "cylinder" if node["kind"] == "source" else "box"
        say(f"  {_quoted(node['ref'])} [shape={shape}];")
    for edge in answer["edges"]:
        say(f"  {_quoted(edge['from'])} -> {_quoted(edge['to'])} [label={_quoted(edge['via'])}];")
    say("}")


def _quoted(text: str) -> str:
    """Quote for dot: as JSON but for what is not ASCII, with backslashes as they are escaped."""
    return json.dumps(clean(text), ensure_ascii=False)


def _mermaid(answer: dict[str, Any]) -> None:
    say("flowchart LR")
    names = {node["ref"]: f"n{i}" for i, node in enumerate(answer["nodes"])}
    for node in answer["nodes"]:
        opened, closed = ("[(", ")]") if node["kind"] == "source" else ("[", "]")
        say(f'  {names[node["ref"]]}{opened}"{_entities(node["ref"])}"{closed}')
    for edge in answer["edges"]:
        say(f"  {names[edge['from']]} --> {names[edge['to']]}")


def _entities(text: str) -> str:
    """Escape for a quoted Mermaid label."""
    plain = clean(text)
    return "".join(c if c not in '"#<>&`' else f"#{ord(c)};" for c in plain)
