"""Bugs that are planted to show that a harness finds them: each is found, and only where it is."""

from collections.abc import Callable, Iterable

import pytest

from support.finding import Found

Plant = Callable[[pytest.MonkeyPatch], None]
Case = Callable[[], None]
"""Plays something, and raises where it finds a bug."""


class Planted(dict[str, Plant]):
    """Plants by name; a decorator that adds one."""

    def __call__(self, plant: Plant) -> Plant:
        """Add a plant under its own name."""
        self[plant.__name__] = plant
        return plant


def check_found(
    plant: Plant, cases: Iterable[Case], raised: tuple[type[Exception], ...] = (Found,)
) -> None:
    """Play until a case finds the bug; without the bug that case must find nothing."""

    def finds(case: Case) -> bool:
        try:
            case()
        except raised:
            return True
        return False

    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        case = next(filter(finds, cases), None)
    assert case is not None, "nobody has found it"
    case()
