"""What a measure gives: a row of the table."""

from dataclasses import dataclass
from statistics import quantiles
from typing import Literal

Verdict = Literal["met", "missed", "reported"]


@dataclass(frozen=True)
class Row:
    """One line: what was measured, the floor in the same run, the goal, and whether it is met."""

    measure: str
    value: str
    floor: str
    goal: str
    verdict: Verdict


def judged(met: bool) -> Verdict:
    """Turn a comparison into a verdict."""
    return "met" if met else "missed"


def percentiles(seconds: list[float]) -> tuple[float, float]:
    """Median and 95th percentile."""
    cuts = quantiles(seconds, n=100, method="inclusive")
    return cuts[49], cuts[94]


def ms(seconds: float) -> str:
    """Format a time in milliseconds."""
    return f"{seconds * 1000:.1f} ms"


def table(rows: list[Row]) -> str:
    """Lay rows out as a Markdown table."""
    head = ("measure", "afresh", "floor", "goal", "")
    lines = [head, *((r.measure, r.value, r.floor, r.goal, r.verdict) for r in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    text = [
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    ]
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(text)
