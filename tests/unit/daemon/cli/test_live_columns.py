"""The live view's table: what is named is whole, what is said of it has the rest of the line."""

from io import StringIO

from rich.console import Console

from afresh.daemon.cli.live import LiveView

ROWS = [
    {
        "asset": "delays_by_carrier",
        "states": {"fresh": 3, "failed": 1},
        "partitioned": True,
        "version": None,
        "reason": "rejected: Expected rows, found a header only " * 3,
    }
]


def drawn(width: int) -> str:
    file = StringIO()
    console = Console(file=file, width=width, force_terminal=False)
    console.print(LiveView().render(ROWS))
    return file.getvalue()


def test_the_reason_alone_is_cut() -> None:
    line = drawn(80).splitlines()[2]
    assert line.startswith("delays_by_carrier  3 fresh, 1 failed")
    assert line.rstrip().endswith("…")


def test_no_line_is_wider_than_the_terminal() -> None:
    for width in (20, 40, 80):
        assert all(len(line) <= width for line in drawn(width).splitlines())
