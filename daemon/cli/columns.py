"""Which columns of a table fit a terminal, and how wide each is."""

from collections.abc import Sequence

GAP = 2
"""Spaces between two columns."""
_NARROWEST = 8
_NEEDED = 3
_COMFORTABLE = 24


def lay_out(
    widths: Sequence[int], total: int, flexible: Sequence[int], optional: Sequence[int]
) -> dict[int, int]:
    """Give the columns that are shown, in order, and the width of each.

    `flexible` ones are cut, down to a few letters, the first of them the least; then the `optional`
    ones are left out, in their order. Only what is left then is cut whatever it is.
    """
    shown = dict(enumerate(widths))
    for out in (None, *optional):
        if out is not None:
            del shown[out]
        cut = [i for i in flexible if i in shown]
        least = {i: min(shown[i], _NARROWEST) for i in cut}
        if cut:
            least[cut[0]] = min(shown[cut[0]], _COMFORTABLE)
        if _over(shown, total) <= sum(shown[i] - least[i] for i in cut):
            _shrink(shown, total, cut, least)
            return shown
    for columns, narrowest in ((flexible, _NARROWEST), (shown, _NARROWEST), (shown, _NEEDED)):
        cut = [i for i in columns if i in shown]
        _shrink(shown, total, cut, {i: min(shown[i], narrowest) for i in cut})
    while _over(shown, total) > 0 and len(shown) > 1:
        del shown[max(shown)]
    return {i: min(width, total) for i, width in shown.items()}


def _over(shown: dict[int, int], total: int) -> int:
    return sum(shown.values()) + GAP * (len(shown) - 1) - total


def _shrink(shown: dict[int, int], total: int, cut: Sequence[int], least: dict[int, int]) -> None:
    """Cut columns, the widest first, until the line fits or none can be cut further."""
    while (over := _over(shown, total)) > 0:
        open_ = [i for i in cut if shown[i] > least[i]]
        if not open_:
            return
        widest = max(open_, key=lambda i: shown[i])
        others = [shown[i] for i in open_ if shown[i] < shown[widest]]
        to = max([least[widest], shown[widest] - over, *others])
        shown[widest] = to if to < shown[widest] else shown[widest] - 1
