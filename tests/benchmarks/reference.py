"""What must be there after all crashes, computed from what was delivered and nothing else.

Shares no code with afresh: it reads the ledger's tables and the artifacts, and compares.
"""

import json
import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow.parquet as pq

from support.project import Project

Sums = dict[str, int]
Sale = tuple[str, int]


@dataclass
class Deliveries:
    """Every content that was ever put at each day's path, in order; bad ones apart."""

    good: dict[str, list[list[Sale]]] = field(default_factory=lambda: defaultdict(list))
    bad: Counter[str] = field(default_factory=Counter)

    def next_good(self, day: str, chance: random.Random) -> str:
        """Make a new content for a day; no two are ever equal, nor are their sums."""
        rows = [(chance.choice("abcd"), chance.randrange(10**12)) for _ in range(30)]
        self.good[day].append(rows)
        return "shop,amount\n" + "".join(f"{shop},{amount}\n" for shop, amount in rows)

    def next_bad(self, day: str) -> str:
        """Make a content that breaks the schema, for a day that never has a good one."""
        self.bad[day] += 1
        return f"shop,amount\na,-{self.bad[day]}\n"

    def count(self) -> int:
        """All that was delivered."""
        return sum(map(len, self.good.values())) + self.bad.total()


def summed(rows: list[Sale]) -> Sums:
    """Sum by shop."""
    sums: Sums = defaultdict(int)
    for shop, amount in rows:
        sums[shop] += amount
    return dict(sums)


@dataclass
class Findings:
    """What is wrong, by kind; empty lists are what is promised."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)

    def any(self) -> bool:
        """Whether there is one."""
        return bool(self.lost or self.doubled or self.torn)


def compare(project: Project, delivered: Deliveries) -> Findings:
    """Compare a project at rest with what was delivered."""
    found = Findings()
    _events(project, delivered, found)
    contents = _contents(project, found)
    for day, history in delivered.good.items():
        _history("sales", day, [Counter(rows) for rows in history], contents, found)
        _history("sums", day, [Counter(summed(rows).items()) for rows in history], contents, found)
    everything = Counter[str]()
    for history in delivered.good.values():
        everything.update(summed(history[-1]))
    totals = contents.get(("total", ""), [])
    if not totals or totals[-1] != Counter(dict(everything).items()):
        found.lost.append("total: its head is not the sum over the last contents")
    if any(one == other for one, other in pairwise(totals)):
        found.doubled.append("total: one content twice in a row")
    invented = {day for asset, day in contents if asset != "total"} - set(delivered.good)
    found.torn += [f"a version of {day}, which was never delivered whole" for day in invented]
    _leftovers(project, found)
    return found


def _events(project: Project, delivered: Deliveries, found: Findings) -> None:
    """Each delivery is at most one event, the last one surely; none is left pending."""
    counted = Counter[str]()
    for uri, state in project.rows("select uri, state from event where kind = 'arrived'"):
        day = Path(uri).stem
        counted[day] += 1
        if state == "pending":
            found.lost.append(f"{day}: an event is still pending at rest")
    for day, number in {**delivered.bad, **{d: len(h) for d, h in delivered.good.items()}}.items():
        if not counted[day]:
            found.lost.append(f"{day}: no event")
        if counted[day] > number:
            found.doubled.append(f"{day}: {counted[day]} events for {number} deliveries")


def _contents(project: Project, found: Findings) -> dict[tuple[str, str], list[Counter[object]]]:
    """Read every version's artifact, in the order of versions."""
    contents: dict[tuple[str, str], list[Counter[object]]] = defaultdict(list)
    versions = project.rows(
        "select asset, partition, version, uri, rows from version"
        " order by asset, partition, version"
    )
    for asset, partition, version, uri, rows in versions:
        name = f"{asset}[{partition}]@{version}"
        try:
            table = pq.read_table(path_of(project, uri))
        except Exception as error:  # noqa: BLE001  whatever it is, this version cannot be read
            found.torn.append(f"{name}: {error}")
            continue
        if table.num_rows != rows:
            found.torn.append(f"{name}: {table.num_rows} rows, {rows} recorded")
        pairs = zip(table["shop"].to_pylist(), table["amount"].to_pylist(), strict=True)
        contents[asset, partition].append(Counter(pairs))
        if len(contents[asset, partition]) != version:
            found.doubled.append(f"{name}: version numbers are not 1, 2, 3 ...")
    return contents


def _history(
    asset: str,
    day: str,
    expected: list[Counter[object]],
    contents: dict[tuple[str, str], list[Counter[object]]],
    found: Findings,
) -> None:
    """A unit's versions are some of the deliveries, in their order, and the last one."""
    name, position = f"{asset}[{day}]", -1
    versions = contents.get((asset, day), [])
    for number, content in enumerate(versions, 1):
        if content not in expected:
            found.torn.append(f"{name}@{number} is nothing that was delivered")
            continue
        at = expected.index(content)
        if at <= position:
            found.doubled.append(f"{name}@{number} was published before")
        position = at
    if not versions or versions[-1] != expected[-1]:
        found.lost.append(f"{name}: its head is not the last delivery")


def _leftovers(project: Project, found: Findings) -> None:
    """At rest no artifact lies about that no version names, and the head is the last version."""
    orphans = artifacts(project) - named(project)
    found.torn += [f"{path} belongs to no version" for path in sorted(map(str, orphans))]
    heads = project.rows(
        "select u.asset, u.partition from unit u where u.version is not null and u.version !="
        " (select max(v.version) from version v"
        " where v.asset = u.asset and v.partition = u.partition)"
    )
    found.lost += [f"{asset}[{day}]: the head is not the last version" for asset, day in heads]
    again = project.rows(
        "select asset, partition, run_key, count(distinct version) from run"
        " where version is not null and run_key != '' group by 1, 2, 3"
        " having count(distinct version) > 1"
    )
    found.doubled += [f"one run key, several versions: {json.dumps(row)}" for row in again]


def path_of(project: Project, uri: str) -> Path:
    """Where an artifact lies."""
    return project.state / "artifacts" / (urlsplit(uri).path if "://" in uri else uri)


def artifacts(project: Project) -> set[Path]:
    """All files below the artifacts' folder."""
    return {path for path in (project.state / "artifacts").rglob("*") if path.is_file()}


def named(project: Project) -> set[Path]:
    """All artifacts that a version names."""
    return {path_of(project, uri) for (uri,) in project.rows("select uri from version")}
