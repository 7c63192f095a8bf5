"""How hard Hypothesis tries where a test is cheaper or dearer than others."""

from typing import Any

from hypothesis import settings


def times(share: float, **more: Any) -> settings:
    """Try so many times the examples of the profile in force: more in `thorough`, too."""
    return settings(max_examples=round(settings().max_examples * share), **more)
