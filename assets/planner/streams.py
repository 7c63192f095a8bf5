"""Streams: what appending makes of a version, and what is new for an incremental reader.

A stream is a sequence of rows that only grows. A version is a range of them; the next one has more
at the end, and after retention fewer at the start. Identity is chained: that of a version is made
of the one before and of what was added, so it costs what was added.

An incremental reader has a mark for each stream that it reads by its new rows: how far it has read,
moved with the version that it made of them. It runs when there are rows behind its mark, and never
for another reason but one: what it has read is no more (its code is to be rebuilt, the stream was
begun anew or another is read in its place, someone asked for it). Then it reads from the start, and
what it makes replaces all.
A run is given so many rows at most. With more of them it is not settled yet: the next run follows,
and who reads it waits until all rows of a cut are in it. What replaces a head takes its place only
then: before, it has less than readers were given already (P6).
"""

# hashlib's own, without OpenSSL, which importing hashlib loads: 2 ms of a command's start.
from _blake2 import blake2b
from collections.abc import Callable, Sequence

from afresh.assets.planner.content import Content, Gone, Mark, Span, State
from afresh.assets.planner.graph import Graph
from afresh.assets.planner.nodes import NEVER, Attempt, Node, Pinned
from afresh.assets.planner.runkey import run_key
from afresh.assets.planner.segments import Most, Segment, find_end
from afresh.assets.planner.topology import Edge


def append(
    head: Content | None,
    fingerprint: str,
    columns: dict[str, str],
    rows: int,
    *,
    replaces: bool = False,
) -> tuple[Span, str, dict[str, str]]:
    """The span, fingerprint and column hashes of a version with that many rows more than the head.

    What replaces the head begins where that ends: no row number is used twice.
    """
    before = head.span if head is not None else None
    end = before.end if before is not None else 0
    if head is None or before is None or replaces:
        chained = _chain("begun", str(end), fingerprint)
        made = {name: _chain("begun", str(end), digest) for name, digest in columns.items()}
        return Span(end, end + rows, end), chained, made
    names = head.columns.keys() | columns.keys()
    made = {
        name: _chain(head.columns.get(name, ""), str(rows), columns.get(name, ""))
        for name in sorted(names)
    }
    span = Span(before.start, end + rows, before.origin)
    return span, _chain(head.fingerprint, str(rows), fingerprint), made


def drop(
    span: Span, fingerprint: str, columns: dict[str, str], start: int
) -> tuple[Span, str, dict[str, str]]:
    """The same without the rows before `start`."""
    made = {name: _chain(digest, "dropped", str(start)) for name, digest in columns.items()}
    return Span(start, span.end, span.origin), _chain(fingerprint, "dropped", str(start)), made


def find_new(node: Node, cut: tuple[Pinned, ...]) -> tuple[str, tuple[State, ...] | None]:
    """The run key of what is new in a cut, and what is known to come of it.

    Without new rows the heads stay, whatever else has changed; a run that failed is not repeated
    before something is new or other.
    """
    node.code_stale = False
    if not must_replace(node, cut) and not has_new(node, cut):
        head = node.heads[0]
        node.code_stale = head is not None and head.code != node.plan.code
        return "", tuple(state for state in node.heads if state is not None)
    key = run_key(node, cut, node.plan.code, first_rows(node, cut))
    known = node.known.get(key)
    return key, known if known is not None and Gone.HELD in known else None


def has_new(node: Node, cut: tuple[Pinned, ...]) -> bool:
    """Whether a stream has rows behind the reader's mark."""
    for item in cut:
        span = _span(item)
        if span is None:
            continue
        mark = find_mark(node, item.edge)
        if mark is None or mark.end < span.end:
            return True
    return False


def find_mark(node: Node, edge: Edge) -> Mark | None:
    """How far the stream of an edge was read, whatever the parameter was called then."""
    marks = node.marks or {}
    own = marks.get(edge.parameter)
    if own is not None and own.asset == edge.asset:
        return own
    return next((mark for mark in marks.values() if mark.asset == edge.asset), None)


def must_replace(node: Node, cut: tuple[Pinned, ...]) -> bool:
    """Whether all rows are to be read again, and what was made of them is to be replaced."""
    if node.forced or not is_begun(node):
        return True
    head, function = newest(node)[0], node.plan.function
    assert head is not None
    assert function is not None
    if function.on_code_change == "rebuild" and head.code != node.plan.code:
        return True
    streams = {item.edge.asset for item in cut if item.edge.new}
    one_left = any(mark.asset not in streams for mark in (node.marks or {}).values())
    for item in cut:
        span = _span(item)
        if span is None:
            continue
        mark = find_mark(node, item.edge)
        if one_left if mark is None else mark.origin != span.origin:
            return True
    return False


def newest(node: Node) -> Sequence[Content | None]:
    """What is appended to: of one that is being made anew not the heads yet."""
    return node.heads if node.staged is None else node.staged


def is_staged(attempt: Attempt) -> bool:
    """Whether heads stay what they are, since what replaces them is made by more runs (P6)."""
    node = attempt.node
    replaces = attempt.replaces or node.staged is not None
    return bool(attempt.reads_to) and replaces and any(head is not None for head in node.heads)


def is_begun(node: Node) -> bool:
    """Whether all its outputs are streams already, so that something can be appended."""
    return all(head is not None and head.span is not None for head in newest(node))


def first_rows(node: Node, cut: tuple[Pinned, ...]) -> dict[str, int]:
    """Of each parameter that reads new rows, the first one that it is given."""
    whole = must_replace(node, cut)
    rows: dict[str, int] = {}
    for item in cut:
        span = _span(item)
        if span is not None:
            mark = find_mark(node, item.edge)
            rows[item.edge.parameter] = (
                span.start if whole or mark is None else max(mark.end, span.start)
            )
    return rows


def bound_reads(attempt: Attempt, segments: Callable[[str], Sequence[Segment]], most: Most) -> None:
    """Have an attempt read no more of each stream than one run is given; others follow it.

    `segments` are those of an asset that is read by its new rows.
    """
    function = attempt.node.plan.function
    if function is not None and function.new_rows:
        most = Most(function.new_rows, most.bytes)
    for item in attempt.pinned:
        span, parameter = _span(item), item.edge.parameter
        if span is not None:
            start = attempt.reads_from.get(parameter, span.start)
            end = find_end(segments(item.edge.asset), start, span.end, most)
            if end < span.end:
                attempt.reads_to[parameter] = end


def marks_after(attempt: Attempt) -> dict[str, Mark]:
    """How far a reader has read once this attempt is published."""
    return {
        parameter: Mark(item.edge.asset, attempt.reads_to.get(parameter, span.end), span.origin)
        for item in attempt.pinned
        if (span := _span(item)) is not None
        for parameter in (item.edge.parameter,)
    }


def marks_gone(attempt: Attempt) -> list[str]:
    """The marks that do not count any more then: of a parameter that has another name now.

    And of a stream that is not read any more, where nothing is left of what was made of it.
    """
    after = marks_after(attempt)
    streams = {mark.asset for mark in after.values()}
    return [
        parameter
        for parameter, mark in (attempt.node.marks or {}).items()
        if parameter not in after and (attempt.replaces or mark.asset in streams)
    ]


def first_unread(graph: Graph, node: Node) -> int:
    """The first row of a stream that an incremental reader has still to read.

    One that never ran holds nothing: it begins with what there is.
    """
    rows = []
    for plan, edge in node.plan.readers:
        reader = graph.get(plan, node.key) if edge.new else None
        mark = find_mark(reader, edge) if reader is not None else None
        if mark is not None:
            rows.append(mark.end)
    return min(rows, default=NEVER)


def _span(item: Pinned) -> Span | None:
    """What a parameter that reads new rows reads from."""
    if not item.edge.new or not item.parts:
        return None
    return item.parts[0][1].span


def _chain(*parts: str) -> str:
    digest = blake2b(b"afresh-stream-1", digest_size=20)
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()
