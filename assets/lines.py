"""The line that a frame is at, when thousands of calls of one module ask."""

from bisect import bisect_right
from types import CodeType, FrameType

_code: CodeType | None = None
_starts: list[int] = []
_lines: list[int | None] = []


def line_of(frame: FrameType) -> int:
    """Give the line that a frame is at: its `f_lineno`.

    That one walks the code's table from its start: with thousands of declarations in a module,
    most of the time of loading it. The table of the code that was asked for last is kept instead.
    """
    global _code, _starts, _lines  # noqa: PLW0603 - a cache of one, compared by identity
    if frame.f_code is not _code:
        table = list(frame.f_code.co_lines())
        _starts, _lines = [start for start, _, _ in table], [line for _, _, line in table]
        _code = frame.f_code
    return _lines[bisect_right(_starts, frame.f_lasti) - 1] or frame.f_lineno
