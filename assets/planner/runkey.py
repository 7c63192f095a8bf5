"""The run key: code, parameters, and of each input the columns that it reads (P4)."""

# hashlib's own, without OpenSSL, which importing hashlib loads: 2 ms of a command's start.
from _blake2 import blake2b
from collections.abc import Mapping

from afresh.assets.planner.nodes import Node, Pinned


def run_key(
    node: Node, pinned: tuple[Pinned, ...], code: str, first_rows: Mapping[str, int] | None = None
) -> str:
    """Hash what a run depends on. Every part is length-prefixed, so that no two lists collide.

    `first_rows` says where reading begins in streams of which only new rows are read.
    """
    digest = blake2b(b"afresh-run-key-1", digest_size=20)

    def add(text: str) -> None:
        data = text.encode("utf-8", "surrogateescape")
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)

    add(code)
    add(node.plan.parameters)
    add(node.key)
    if node.salt:
        add(node.salt)
    for item in pinned:
        add(item.edge.parameter)
        add(f"{item.edge.asset}\0{len(item.parts)}")
        for partition, content in item.parts:
            add(partition)
            add(content.digest(item.edge.columns))
        if first_rows is not None and item.edge.parameter in first_rows:
            add(str(first_rows[item.edge.parameter]))
    return digest.hexdigest()
