"""`afresh lineage`: as a tree, for Graphviz, for Mermaid, or as data."""

import json
from typing import Any

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
        call.show(answer, lambda found: _tree(found, down=down))


def _tree(answer: dict[str, Any], *, down: bool) -> None:
    nodes = {node["ref"]: node for node in answer["nodes"]}
    children: dict[str, list[str]] = {}
    runs: dict[str, str] = {}
    columns: dict[tuple[str, str], list[str]] = {}
    for edge in answer["edges"]:
        parent, child = (edge["from"], edge["to"]) if down else (edge["to"], edge["from"])
        if child not in children.setdefault(parent, []):
            children[parent].append(child)
        runs[edge["to"]] = edge["via"]
        columns[parent, child] = edge.get("columns", [])
    # The first node is a root, and so is the asset's every unit that nothing else leads to.
    first, below = next(iter(nodes)), {ref for found in children.values() for ref in found}
    asset = nodes[first]["asset"]
    roots = [
        ref
        for ref, node in nodes.items()
        if ref == first or (node["asset"] == asset and ref not in below)
    ]
    shown: set[str] = set()

    def line(ref: str, parent: str) -> str:
        node = nodes[ref]
        kind = " (source)" if node["kind"] == "source" else ""
        many = f" ({node['versions']} versions)" if node.get("versions", 1) > 1 else ""
        run = f"  run {runs[ref]}" if ref in runs else ""
        if node.get("made_by"):
            run = f"  made by run {node['made_by']}, confirmed by run {runs[ref]}"
        read = columns.get((parent, ref))
        return f"{ref}{kind}{many}{run}" + (f"  reads {', '.join(read)}" if read else "")

    def walk(ref: str, indent: str) -> None:
        entries = _grouped(children.get(ref, []), nodes)
        for i, (child, more) in enumerate(entries):
            last = i == len(entries) - 1
            branch, below = ("└─ ", "   ") if last else ("├─ ", "│  ")
            if more:
                say(f"{indent}{branch}{child}: {more} more partitions")
                continue
            again = child in shown and bool(children.get(child))
            say(f"{indent}{branch}{line(child, ref)}" + ("  (as above)" if again else ""))
            if not again:
                shown.add(child)
                walk(child, indent + below)

    for root in roots:
        say(line(root, ""))
        walk(root, "")


def _grouped(refs: list[str], nodes: dict[str, Any]) -> list[tuple[str, int]]:
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
