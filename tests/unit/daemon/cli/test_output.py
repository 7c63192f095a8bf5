import io
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afresh.daemon.cli import output

ANY_TEXT = st.text(st.characters(codec=None), max_size=40)


@given(ANY_TEXT)
def test_clean_text_is_printable_and_says_the_same_when_it_was(text: str) -> None:
    found = output.clean(text)
    assert found.isprintable()
    assert found == text or not text.isprintable()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a b", "a b"),
        ("a\tb\n", "a\\tb\\n"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\u202eabc\u2066", "\\u202eabc\\u2066"),
        ("\udcff", "\\udcff"),
        ("\U000e0001", "\\U000e0001"),
        ("naïve 日本", "naïve 日本"),
    ],
)
def test_what_is_escaped(text: str, shown: str) -> None:
    assert output.clean(text) == shown


class Terminal(io.StringIO):
    """A terminal of 40 columns."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Terminal()


@given(rows=st.lists(st.tuples(ANY_TEXT, ANY_TEXT, ANY_TEXT), max_size=5))
def test_a_table_fits_the_terminal_whatever_is_in_it(
    rows: list[tuple[str, str, str]],
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "40")
        patch.setenv("NO_COLOR", "1")
        screen = Terminal()
        patch.setattr(sys, "stdout", screen)
        output.print_table(("one", "two", "three"), rows, flexible=("three",))
    lines = screen.getvalue().split("\n")[:-1]
    assert len(lines) == len(rows) + 1
    assert all(line.isprintable() for line in lines)
    assert all(output._width(line) <= 40 for line in lines)


def test_the_flexible_column_is_cut_first(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys, "stdout", terminal)
    output.print_table(("name", "why"), [("a" * 20, "b" * 60)], flexible=("why",))
    assert terminal.getvalue().splitlines()[1] == "a" * 20 + "  " + "b" * 17 + "…"


def test_states_are_coloured_on_a_terminal_unless_told_otherwise(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", terminal)
    output.print_table(("state",), [("failed",)])
    assert "\x1b[31mfailed\x1b[0m" in terminal.getvalue()
    terminal.truncate(0)
    monkeypatch.setenv("NO_COLOR", "1")
    output.print_table(("state",), [("failed",)])
    assert "\x1b" not in terminal.getvalue()


def test_a_pipe_gets_whole_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(("name", "why"), [("a", "b" * 500), ("日本", "c")])
    assert capsys.readouterr().out.splitlines() == [
        "NAME  WHY",
        "a     " + "b" * 500,
        "日本  c",
    ]


def test_json_is_ascii_and_an_item_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json([{"a": "\u202e\udcff"}, {"a": None}])
    out = capsys.readouterr().out
    assert out.isascii()
    assert len(out.splitlines()) == 4
    assert json.loads(out) == [{"a": "\u202e\udcff"}, {"a": None}]


def test_an_error_names_place_and_way_out(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_error("Expected x\nfound \x1b", hint="do y", where="p.py:3")
    assert capsys.readouterr().err == "p.py:3: error: Expected x\nfound \\x1b\n  hint: do y\n"


def lines_at(width: int, patch: pytest.MonkeyPatch) -> list[str]:
    patch.setenv("COLUMNS", str(width))
    patch.setenv("NO_COLOR", "1")
    screen = Terminal()
    patch.setattr(sys, "stdout", screen)
    row = ("01m7ymfwszxe963zak", "rejected", "2026-11-21 08:45:14", "Expected a header " * 5)
    columns = ("run", "state", "started", "error")
    output.print_table(columns, [row], flexible=("error",), optional=("started", "error"))
    return screen.getvalue().splitlines()


def test_what_is_not_flexible_is_whole_and_optional_columns_make_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert lines_at(80, monkeypatch)[0].split() == ["RUN", "STATE", "STARTED", "ERROR"]
    assert lines_at(60, monkeypatch)[0].split() == ["RUN", "STATE", "ERROR"]
    assert lines_at(40, monkeypatch) == [
        "RUN                 STATE",
        "01m7ymfwszxe963zak  rejected",
    ]
    for width in range(1, 100):
        assert all(len(line) <= width for line in lines_at(width, monkeypatch))


def test_a_terminal_that_does_not_know_its_width_is_taken_for_one_of_80(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert lines_at(0, monkeypatch) == lines_at(80, monkeypatch)


def test_what_cannot_be_told_on_stderr_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Gone())
    output.note("beside the answer")
    output.print_error("Expected x, found y", hint="do z")
    output.print_error("Expected x, found y", as_json=True)
