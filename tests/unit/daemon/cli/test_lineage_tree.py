"""The tree of `afresh lineage`."""

import sys
from typing import Any

from afresh.daemon.cli.lineage import _Tree


def answer(*edges: tuple[str, str]) -> dict[str, Any]:
    """Give the lineage of the first target."""
    refs = dict.fromkeys(ref for source, target in edges for ref in (target, source))
    return {
        "nodes": [{"ref": ref, "asset": ref.partition("[")[0], "kind": "asset"} for ref in refs],
        "edges": [{"from": source, "to": target, "via": "r"} for source, target in edges],
    }


def test_a_chain_may_be_deeper_than_python_calls() -> None:
    depth = 2 * sys.getrecursionlimit()
    chain = answer(*((f"a{i + 1}", f"a{i}") for i in range(depth)))
    lines = list(_Tree(chain, down=False).draw())
    assert len(lines) == depth + 1
    assert lines[-1].strip() == f"└─ a{depth}"


def test_what_stands_below_one_is_drawn_once() -> None:
    both = answer(("b", "a"), ("c", "a"), ("d", "b"), ("d", "c"), ("e", "d"))
    assert list(_Tree(both, down=False).draw()) == [
        "a  run r",
        "├─ b  run r",
        "│  └─ d  run r",
        "│     └─ e",
        "└─ c  run r",
        "   └─ d  run r  (as above)",
    ]


def test_of_many_partitions_a_few_are_drawn() -> None:
    many = answer(*((f"b[{i}]", "a") for i in range(9)), ("c", "a"))
    lines = list(_Tree(many, down=False).draw())
    assert lines[1:] == [*(f"├─ b[{i}]" for i in range(6)), "├─ b: 3 more partitions", "└─ c"]
