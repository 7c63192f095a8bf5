"""Kafka under kill -9 of the daemon and of the broker, with poison: what came of it, exactly.

    make campaign-kafka [RECORDS=1000000] [ARGS="--kills 50 --restarts 10 --seed 7 --keep FOLDER"]
    make campaign-kafka RECORDS=100000 ARGS="--brokers 3"       leaders change while records come

While records are written to 12 partitions, the daemon is killed at random moments, half of them
when an artifact appears, and started again; so is the broker. In the end what is published is what
the topic holds without the poison, in the order of the partitions; each poison record is a dead
letter, once; and from one version to the next the offsets go on without a gap or an overlap.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

import anyio
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.campaign import OUTLIVE_SECONDS, Assassin
from benchmarks.orders import TOPIC, Produced, Producer, message, poison, read_back
from services.kafka import Kafka, kafka_running
from services.kafka_cluster import Cluster, cluster_running
from support.processes import outliving
from support.project import Daemon, Project
from support.topics import make_topic

HERE = Path(__file__).parent
LONGEST_LIFE_SECONDS = 2.0
LONGEST_FAILOVER_SECONDS = 6.0
PIECES = 15
"""A round's records come a tenth of a second apart in so many pieces, not all at once."""


@dataclass
class Outcome:
    """How a campaign went: every list is empty if nothing went wrong."""

    records: int = 0
    poison: int = 0
    published: int = 0
    versions: int = 0
    kills: int = 0
    restarts: int = 0
    outlived: int = 0
    seconds: float = 0.0
    lost: list[object] = field(default_factory=list)
    doubled: list[object] = field(default_factory=list)
    disordered: list[object] = field(default_factory=list)
    letters: list[object] = field(default_factory=list)
    ranges: list[object] = field(default_factory=list)
    downstream: list[object] = field(default_factory=list)
    verified: bool = False

    @property
    def wrong(self) -> dict[str, list[object]]:
        """What went wrong, the first few of each kind."""
        kinds = ("lost", "doubled", "disordered", "letters", "ranges", "downstream")
        return {kind: getattr(self, kind)[:5] for kind in kinds if getattr(self, kind)}

    @property
    def clean(self) -> bool:
        """Whether all promises held."""
        return self.verified and not self.wrong and not self.outlived


class KafkaCampaign:
    """One topic and one project; both ends are killed while records are on their way."""

    def __init__(
        self, folder: Path, broker: Kafka | Cluster, seed: int, partitions: int = 12
    ) -> None:
        self.broker = broker
        self.chance = random.Random(seed)
        self.partitions = partitions
        self.outcome = Outcome()
        os.environ["ORDERS_SERVERS"] = broker.servers
        pipeline = (HERE / "projects/orders.py").read_text()
        self.project = Project.make(folder, pipeline)

    def run(self, records: int, *, bad: int = 100, kills: int = 5, restarts: int = 2) -> Outcome:
        """Write, kill, start again, write the rest, let it come to rest, and judge."""
        began = time.monotonic()
        anyio.run(self._make_topic)
        outcome = self.outcome
        rounds = ["daemon"] * kills + ["broker"] * restarts
        self.chance.shuffle(rounds)
        poisoned = set(self.chance.sample(range(records), bad))
        edges = [records * n // len(rounds) for n in range(len(rounds) + 1)]
        for number, what in enumerate(rounds):
            messages = (
                poison(n, self.chance) if n in poisoned else message(n)
                for n in range(edges[number], edges[number + 1])
            )
            each = max(1, (edges[number + 1] - edges[number]) // PIECES)
            producer = Producer(self.broker.servers, messages, self.partitions, pause_each=each)
            daemon = self.project.start()
            try:
                producer.start()
                if what == "daemon":
                    self.kill_daemon(daemon)
                else:
                    self.restart_broker()
                producer.finish()
            finally:
                processes = [] if daemon.process.poll() is not None else daemon.tree()
                daemon.kill()
                outcome.outlived += len(outliving(processes, OUTLIVE_SECONDS))
            print(f"round {number + 1} of {len(rounds)}: {what}", file=sys.stderr)
        self.settle()
        produced = read_back(self.broker.servers)
        self.judge(produced)
        outcome.verified = self.project.run("verify", check=False).returncode == 0
        outcome.seconds = time.monotonic() - began
        return outcome

    async def _make_topic(self) -> None:
        if isinstance(self.broker, Kafka):
            await make_topic(self.broker.servers, TOPIC, self.partitions)
        else:
            copies = len(self.broker.brokers)
            enough = {"min.insync.replicas": str(copies - 1)}
            servers = self.broker.servers
            await make_topic(servers, TOPIC, self.partitions, copies, settings=enough)

    def kill_daemon(self, daemon: Daemon) -> None:
        """Kill it at a random moment, or when some artifact appears."""
        if self.chance.random() < 0.5:
            time.sleep(self.chance.random() * LONGEST_LIFE_SECONDS)
            daemon.process.kill()
        else:
            delay = self.chance.random() * 0.003
            assassin = Assassin(daemon.pid, self.chance.randrange(1, 16), delay)
            with assassin.lurking(self.project):
                if not assassin.done.wait(LONGEST_LIFE_SECONDS):
                    daemon.process.kill()
        daemon.process.wait()
        self.outcome.kills += 1

    def restart_broker(self) -> None:
        """Kill the broker, or one of a cluster, at a random moment, and start it again.

        Of a cluster the others lead what it led, and go on for some seconds.
        """
        time.sleep(self.chance.random() * LONGEST_LIFE_SECONDS)
        self.broker.kill()
        if isinstance(self.broker, Cluster):
            time.sleep(self.chance.random() * LONGEST_FAILOVER_SECONDS)
        self.broker.start()
        self.outcome.restarts += 1
        time.sleep(self.chance.random())

    def settle(self) -> None:
        """Let the daemon read all that is left."""
        self.project.run("up", "--until-idle", check=False, timeout=1200)

    def judge(self, produced: Produced) -> None:
        """Compare what is there with what the topic holds."""
        outcome = self.outcome
        outcome.records = len(produced.orders) + len(produced.poison)
        outcome.poison = len(produced.poison)
        table = self.rows("orders", ["id", "partition", "offset"])
        outcome.published = table.num_rows
        places = list(zip(table["partition"].to_pylist(), table["offset"].to_pylist(), strict=True))
        found = dict(zip(places, table["id"].to_pylist(), strict=True))
        outcome.lost += [place for place in produced.orders if place not in found]
        outcome.lost += [p for p, number in found.items() if produced.orders.get(p) != number]
        if len(found) != len(places):
            outcome.doubled += (Counter(places) - Counter(list(found))).elements()
        last: dict[int, int] = {}
        for partition, offset in places:
            if offset <= last.get(partition, -1):
                outcome.disordered.append((partition, offset))
            last[partition] = offset
        self.judge_letters(produced)
        self.judge_ranges(produced, places)
        downstream = sorted(self.rows("priced", ["id"])["id"].to_pylist())
        if downstream != sorted(produced.orders.values()):
            outcome.downstream.append((len(downstream), len(produced.orders)))

    def judge_letters(self, produced: Produced) -> None:
        """Each poison record is a dead letter, once, with its place and a reason."""
        rows = self.project.rows("select place, reason from dead_letter")
        letters = [json.loads(place) for place, _ in rows]
        found = sorted((letter["channel"], letter["offset"]) for letter in letters)
        if found != sorted(produced.poison):
            both = set(found) ^ produced.poison
            self.outcome.letters += [len(found), *sorted(both)]
        self.outcome.letters += [place for place, reason in rows if not reason]

    def judge_ranges(self, produced: Produced, places: list[tuple[int, int]]) -> None:
        """Events cover the topic, and each version goes on where the one before it ended."""
        covered = dict.fromkeys(produced.ends, 0)
        for kind, position in self.project.rows(
            "select kind, position from event where source = 'orders' order by seq"
        ):
            for name, (start, end) in json.loads(position).items():
                partition = int(name)
                if kind != "arrived" or start != covered[partition] or end < start:
                    self.outcome.ranges.append((kind, partition, start, end))
                covered[partition] = end
        if covered != produced.ends:
            self.outcome.ranges.append((covered, produced.ends))
        versions = self.project.rows(
            "select version, start_row, end_row from version where asset = 'orders'"
            " order by version"
        )
        self.outcome.versions = len(versions)
        goes_on = dict.fromkeys(produced.ends, 0)
        row = 0
        for version, start, end in versions:
            if start != 0 or end <= row:
                self.outcome.ranges.append((version, start, end))
            for partition, offset in places[row:end]:
                between = range(goes_on[partition], offset)
                if any((partition, n) not in produced.poison for n in between):
                    self.outcome.ranges.append((version, partition, offset))
                goes_on[partition] = offset + 1
            row = end
        if row != len(places):
            self.outcome.ranges.append((row, len(places)))

    def rows(self, asset: str, columns: list[str]) -> pa.Table:
        """Read all segments of a stream as they are in the ledger, not through the product."""
        found = self.project.rows(
            "select uri, end_row - first_row from segment where asset = ? order by first_row",
            asset,
        )
        tables = []
        for uri, count in found:
            path = unquote(urlsplit(uri).path) if "://" in uri else uri
            table = pq.read_table(path, columns=columns, partitioning=None)
            assert table.num_rows == count, (uri, count, table.num_rows)
            tables.append(table)
        return pa.concat_tables(tables)


def brokers(count: int, seed: int) -> Iterator[Kafka | Cluster]:
    """Run one broker, or a cluster."""
    if count == 1:
        yield from kafka_running()
    else:
        with cluster_running(count, seed=seed) as cluster:
            yield cluster


def main() -> int:
    """Run a campaign; 0 if all promises held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--poison", type=int, default=100)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--restarts", type=int, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--brokers", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="leave the project in this folder")
    arguments = parser.parse_args()
    clean = False
    for broker in brokers(arguments.brokers, arguments.seed):
        with tempfile.TemporaryDirectory(prefix="afresh-kafka-") as scratch:
            folder = arguments.keep or Path(scratch) / "project"
            outcome = KafkaCampaign(folder, broker, arguments.seed).run(
                arguments.records,
                bad=arguments.poison,
                kills=arguments.kills,
                restarts=arguments.restarts,
            )
        clean = outcome.clean
        print(
            f"seed {arguments.seed}: {outcome.records} records, {outcome.poison} poison,"
            f" {outcome.published} published in {outcome.versions} versions,"
            f" {outcome.kills} kills, {outcome.restarts} broker restarts,"
            f" {outcome.seconds:.0f} s: {'clean' if clean else outcome.wrong or outcome}"
        )
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
