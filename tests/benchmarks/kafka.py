"""Kafka: how fast a topic becomes published versions, and how long one message takes."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio

from benchmarks.orders import TOPIC, Producer, message
from benchmarks.report import Row, judged, ms, percentiles
from services.kafka import Kafka, kafka_running
from support.project import Project
from support.topics import make_topic

HERE = Path(__file__).parent
RECORDS = int(os.environ.get("BENCH_KAFKA_RECORDS", "1000000"))
PARTITIONS = 12
WARM, MEASURED, PAUSE_SECONDS = 12, 60, 0.5
PUBLISHED = "select coalesce(max(end_row), 0) >= ? from version where asset = 'priced'"


def measure(folder: Path) -> list[Row]:
    """Give both rows; each floor is taken before and after."""
    rows = []
    for part, take in (("fill", throughput), ("alone", latency)):
        for broker in kafka_running():
            (folder / part).mkdir()
            rows += take(folder / part, broker)
    return rows


def throughput(folder: Path, broker: Kafka) -> list[Row]:
    """A full topic, and everything that is downstream of it."""
    anyio.run(make_topic, broker.servers, TOPIC, PARTITIONS)
    producer = Producer(broker.servers, map(message, range(RECORDS)), PARTITIONS)
    producer.start()
    producer.finish()
    before = drained(folder / "before", broker)
    os.environ["ORDERS_SERVERS"] = broker.servers
    project = Project.make(folder / "afresh", (HERE / "projects/orders.py").read_text())
    with project.running():
        ended = project.wait_for(PUBLISHED, RECORDS, timeout=600)
        # The first batch begins the time, and is not counted: what came before it is the start.
        began, position = project.rows(
            "select observed_at, position from event where source = 'orders' order by seq limit 1"
        )[0]
        counted = RECORDS - sum(end - start for start, end in json.loads(position).values())
        seconds = ended - time.monotonic() + time.time() - began
    floor = min(before, drained(folder / "after", broker))
    ours = counted / seconds
    return [
        Row(
            f"Kafka, {RECORDS:,} records → published, with an incremental reader",
            f"{ours:,.0f} records/s",
            f"{RECORDS / floor:,.0f} records/s",
            f"≥ 50 % ({100 * ours * floor / RECORDS:.0f} %), ≥ 30,000 records/s",
            judged(ours >= 30_000 and ours * floor >= 0.5 * RECORDS),
        )
    ]


def drained(out: Path, broker: Kafka) -> float:
    """Seconds of the bare loop."""
    out.mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, HERE / "kafka_script.py", "drain", broker.servers, out, str(RECORDS)],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def latency(folder: Path, broker: Kafka) -> list[Row]:
    """One message at a time, to the second table."""
    anyio.run(make_topic, broker.servers, TOPIC, PARTITIONS)
    floor = by_hand(folder / "before", broker)
    ours = with_afresh(folder / "afresh", broker)
    floor += by_hand(folder / "after", broker)
    (floor50, _), (ours50, ours95) = percentiles(floor), percentiles(ours)
    return [
        Row(
            "Kafka, message produced → two assets committed, p50",
            ms(ours50),
            ms(floor50),
            f"≤ 3 × ({ours50 / floor50:.2f} ×); p95 {ms(ours95)}",
            judged(ours50 <= 3 * floor50),
        )
    ]


@contextmanager
def sending(broker: Kafka) -> Iterator["Sender"]:
    """Have a producer that is warm."""
    sender = Sender(broker.servers)
    try:
        yield sender
    finally:
        sender.close()


class Sender:
    """Sends one message at a time from a process of its own, as a stranger would."""

    def __init__(self, servers: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, HERE / "kafka_sender.py", servers],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def send(self, number: int) -> float:
        """Send an order; the monotonic time just before."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{number}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


def with_afresh(folder: Path, broker: Kafka) -> list[float]:
    """Time each message through a warm daemon."""
    os.environ["ORDERS_SERVERS"] = broker.servers
    pipeline = (HERE / "projects/orders.py").read_text()
    pipeline = pipeline.replace('columns=("partition"', 'start="end", columns=("partition"')
    project = Project.make(folder, pipeline)
    seconds = []
    with project.running(), sending(broker) as sender:
        time.sleep(2)
        for number in range(WARM + MEASURED):
            began = sender.send(number)
            seconds.append(project.wait_for(PUBLISHED, number + 1) - began)
            time.sleep(PAUSE_SECONDS)
    return seconds[WARM:]


def by_hand(folder: Path, broker: Kafka) -> list[float]:
    """Time each message through the hand-written loop."""
    folder.mkdir(parents=True)
    seconds = []
    script = subprocess.Popen(
        [sys.executable, HERE / "kafka_script.py", "watch", broker.servers, folder],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert script.stdout is not None
        assert script.stdout.readline() == "ready\n"
        with sending(broker) as sender:
            time.sleep(1)
            for number in range(1_000_000, 1_000_000 + WARM + MEASURED // 2):
                began = sender.send(number)
                while True:
                    name, ended = script.stdout.readline().split()
                    if int(name) == number:
                        break
                seconds.append(float(ended) - began)
                time.sleep(PAUSE_SECONDS)
    finally:
        script.kill()
        script.communicate()
    return seconds[WARM:]
