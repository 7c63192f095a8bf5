"""Many callers of one webhook at once: some forge, some deliver again, and the daemon is killed."""

import http.client
import json
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random
from threading import Event
from typing import Any

from support.hooks import SECRET, post
from support.project import Daemon, Project

PIPELINE = """
from afresh import source
from afresh.sensors import env, webhook

orders = source("orders", webhook("/hooks/orders", secret=env("ORDERS_SECRET"), rate=None))
"""
CALLERS = 16
PAUSE_SECONDS = 0.05


@dataclass
class Said:
    """What callers were told, by kind of call and status."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    cut: int = 0
    wrong: list[str] = field(default_factory=list)
    over: Event = field(default_factory=Event)
    """Set where nobody is there any more that could answer: callers give up."""


def deliver(url: str, kind: str, number: int, said: Said) -> None:
    """Call until there is an answer that is final, as senders do: with a new signature."""
    body = json.dumps({"order": number, "text": "x" * (number % 700)}).encode()
    secret = "guess" if kind == "forged" else SECRET
    while not said.over.is_set():
        try:
            status, headers, answer = post(url, body, key=f"evt-{number}", secret=secret)
        except (OSError, http.client.HTTPException):
            said.cut += 1
            time.sleep(PAUSE_SECONDS)
            continue
        said.statuses[kind, status] += 1
        if status in (429, 503):
            time.sleep(PAUSE_SECONDS)
            continue
        if status != (401 if kind == "forged" else 202):
            said.wrong.append(f"{kind} {number}: {status} {answer}")
        elif kind != "forged" and answer != {"recorded": [f"evt-{number}"]}:
            said.wrong.append(f"{kind} {number}: {headers} {answer}")
        return
    said.wrong.append(f"{kind} {number}: not answered")


def plan(calls: int, random: Random) -> list[tuple[str, int]]:
    """Order the calls: valid ones, a third of them again (at once or later), 5 % forged."""
    deliveries = round(calls / (1 + 1 / 3 + 0.05))
    jobs: list[tuple[float, str, int]] = []
    for number in range(deliveries):
        jobs.append((number, "first", number))
        if random.random() < 1 / 3:
            later = random.choice((0.0, 5.0, calls / 3))
            jobs.append((number + random.random() * later, "again", number))
        if random.random() < 0.05:
            jobs.append((number + random.random(), "forged", deliveries + number))
    return [(kind, number) for _, kind, number in sorted(jobs)]


def call_and_kill(project: Project, url: str, calls: int, kills: int, seed: int) -> dict[str, Any]:
    """Make the calls with the daemon killed meanwhile; compare with what the ledger has."""
    random, said = Random(seed), Said()
    jobs = plan(calls, random)
    daemons: list[Daemon] = [project.start()]

    def kill() -> Iterator[None]:
        for _ in range(kills):
            yield
            daemons[-1].kill()
            daemons.append(project.start())

    began = time.monotonic()
    killer = kill()
    next(killer, None)
    try:
        with ThreadPoolExecutor(CALLERS) as callers:
            futures = [callers.submit(deliver, url, kind, number, said) for kind, number in jobs]
            marks = sorted(random.sample(range(len(futures) // 10, len(futures)), kills))
            try:
                for mark in marks:
                    futures[mark].result(120)
                    next(killer, None)
                for future in futures:
                    future.result(120)
            finally:
                said.over.set()
        seconds = time.monotonic() - began
        project.run("wait", "--timeout", "120")
        table = json.loads(project.run("read", "orders", "--as", "json").stdout)
        rows = Counter(row["order"] for row in table)
        found = Counter(
            uri
            for (uri,) in project.rows(
                "SELECT uri FROM event WHERE source = 'orders' AND kind = 'arrived'"
            )
        )
    finally:
        daemons[-1].stop()
        daemons[-1].kill()
    valid = {f"webhook:/hooks/orders#evt-{number}" for kind, number in jobs if kind != "forged"}
    return {
        "calls": len(jobs),
        "valid": len(valid),
        "repeated": sum(kind == "again" for kind, _ in jobs),
        "forged": sum(kind == "forged" for kind, _ in jobs),
        "kills": len(daemons) - 1,
        "statuses": {f"{kind} {status}": n for (kind, status), n in sorted(said.statuses.items())},
        "cut": said.cut,
        "lost": len(valid - set(found)),
        "doubled": sum(n - 1 for n in found.values()),
        "rows lost": len({n for kind, n in jobs if kind != "forged"} - set(rows)),
        "rows doubled": sum(n - 1 for n in rows.values()),
        "never sent": len(set(found) - valid),
        "wrong answers": said.wrong[:10],
        "seconds": round(seconds, 1),
    }
