"""Which units are not deterministic: run again on the same run key, they came to other content."""

import json
from typing import NamedTuple

from afresh.daemon.api.view import Key, View


class Differs(NamedTuple):
    """A forced run that came to other content, and the columns that differ."""

    run: str
    columns: tuple[str, ...]
    at: float

    @property
    def detail(self) -> str:
        """Say so in one sentence."""
        columns = ", ".join(self.columns) or "the rows"
        return f"run {self.run} on the same inputs gave other content: {columns}"


# Newer code is not what was found out: it forgets the mark.
_DIFFERS = """
SELECT v.asset, v.partition, v.run, v.columns, v.at
FROM verification AS v JOIN run AS r ON r.run = v.run AND r.asset = v.asset
WHERE NOT v.equal AND NOT EXISTS (
    SELECT 1 FROM run AS later
    WHERE later.asset = v.asset AND later.partition = v.partition AND later.run > v.run
    AND later.code_version <> r.code_version AND later.state IN ('succeeded', 'unchanged'))
ORDER BY v.run
"""


def not_deterministic(view: View) -> dict[Key, Differs]:
    """List the units that are marked, each with the last run that showed it."""
    return {
        (asset, partition): Differs(run, tuple(json.loads(columns or "[]")), at)
        for asset, partition, run, columns, at in view.reader.rows(_DIFFERS, {})
    }
