"""What appending makes of a stream's version."""

from afresh.assets.planner.content import Columns, Content, Span
from afresh.assets.planner.streams import append, drop


def content(span: Span | None, fingerprint: str = "f", **columns: str) -> Content:
    return Content(1, fingerprint, Columns.of(columns), span=span)


def test_the_first_rows_begin_a_stream() -> None:
    span, _, columns = append(None, "f1", {"a": "1"}, 3)
    assert span == Span(0, 3, 0)
    assert set(columns) == {"a"}
    assert append(content(None, "other"), "f1", {"a": "1"}, 3)[0] == span, "it was no stream"


def test_more_rows_extend_it_and_its_identity() -> None:
    first = append(None, "f1", {"a": "1"}, 3)
    head = Content(1, first[1], Columns.of(first[2]), span=first[0])
    span, fingerprint, columns = append(head, "f2", {"a": "2", "b": "9"}, 2)
    assert span == Span(0, 5, 0)
    assert set(columns) == {"a", "b"}
    again = append(head, "f2", {"a": "2", "b": "9"}, 2)
    assert again == (span, fingerprint, columns), "the same is the same"
    for other in (("f3", {"a": "2"}, 2), ("f2", {"a": "2", "b": "9"}, 1)):
        assert append(head, *other)[1] != fingerprint
    assert columns["a"] != first[2]["a"]


def test_what_replaces_it_begins_where_it_ends() -> None:
    head = content(Span(2, 7, 0), a="1")
    span, fingerprint, _ = append(head, "f", {"a": "1"}, 4, replaces=True)
    assert span == Span(7, 11, 7)
    assert fingerprint != append(None, "f", {"a": "1"}, 4)[1], "no version is ever an equal one"


def test_rows_that_go_change_the_identity() -> None:
    span, fingerprint, columns = append(None, "f1", {"a": "1"}, 3)
    dropped = drop(span, fingerprint, columns, 2)
    assert dropped[0] == Span(2, 3, 0)
    assert dropped[1] != fingerprint
    assert dropped[2]["a"] != columns["a"]
