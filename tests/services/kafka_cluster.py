"""Several brokers as one cluster: each is killed and started again alone."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random

from services.kafka import Kafka
from services.missing import Missing, skip

HEAP_MB = 256


class Cluster:
    """Brokers that are controllers too. Topics of theirs have a copy on each, unless told."""

    def __init__(
        self, folder: Path, size: int = 3, settings: Mapping[str, str] | None = None, seed: int = 0
    ) -> None:
        self.brokers = [
            Kafka(folder / str(number), settings, HEAP_MB) for number in range(1, size + 1)
        ]
        voters = ",".join(
            f"{number}@127.0.0.1:{broker.controller}"
            for number, broker in enumerate(self.brokers, 1)
        )
        copies = str(min(size, 3))
        for number, broker in enumerate(self.brokers, 1):
            broker.set("node.id", str(number))
            broker.set("controller.quorum.voters", voters)
            broker.set("default.replication.factor", copies)
            broker.set("offsets.topic.replication.factor", copies)
            broker.set("transaction.state.log.replication.factor", copies)
        self._chance = Random(seed)

    @property
    def servers(self) -> str:
        """Where they are, separated by commas."""
        return ",".join(broker.servers for broker in self.brokers)

    def start(self) -> None:
        """Start those that do not run, and return when all answer: they need each other for it."""
        asleep = [broker for broker in self.brokers if not broker.running]
        for broker in asleep:
            broker.launch()
        for broker in asleep:
            broker.wait_ready()

    def kill(self) -> None:
        """End one of them at once, as `kill -9` does: the others go on."""
        self._chance.choice(self.brokers).kill()

    def end(self) -> None:
        """End them all."""
        for broker in self.brokers:
            broker.kill()


@contextmanager
def cluster_running(
    size: int = 3, settings: Mapping[str, str] | None = None, seed: int = 0
) -> Iterator[Cluster]:
    """Run one: skips the test where it cannot be had."""
    with tempfile.TemporaryDirectory(prefix="afresh-kafka-") as folder:
        cluster = None
        try:
            cluster = Cluster(Path(folder), size, settings, seed)
            cluster.start()
        except Missing as missing:
            if cluster is not None:
                cluster.end()
            skip("a Kafka cluster", missing)
        try:
            yield cluster
        finally:
            cluster.end()
