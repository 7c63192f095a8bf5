"""Definitions of many trivial assets, as text."""

HEAD = """\
import pandas as pd
from afresh import asset, source
from afresh.sensors import files

"""


def grid(depth: int, width: int) -> str:
    """`width` chains of `depth` assets below one source, all stale when its file arrives."""
    text = [HEAD, 'seed = source("seed", files("landing/seed.csv"))\n']
    for level in range(depth):
        for place in range(width):
            above = "seed" if level == 0 else f"a{level - 1}_{place}"
            text.append(
                f"@asset\ndef a{level}_{place}({above}: pd.DataFrame) -> pd.DataFrame:\n"
                f"    return {above} + 1\n"
            )
    return "\n".join(text)


def fans(assets: int) -> str:
    """Groups of a source and two assets in a row, about `assets` in all: an event touches three."""
    groups = (
        f's{group} = source("s{group}", files("landing/s{group}.csv"))\n'
        f"@asset\ndef b{group}(s{group}: pd.DataFrame) -> pd.DataFrame:\n"
        f"    return s{group} + 1\n"
        f"@asset\ndef c{group}(b{group}: pd.DataFrame) -> pd.DataFrame:\n"
        f"    return b{group} + 1\n"
        for group in range(max(1, assets // 3))
    )
    return "\n".join((HEAD, *groups))
