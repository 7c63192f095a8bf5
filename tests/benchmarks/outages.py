"""A minute without the store, its queue, the broker or the callers of a webhook.

    make campaign-outages [ARGS="--seconds 60 --only store --faults down cut"]

One daemon has a source of each kind, and all of them get arrivals all the time. One thing after the
other fails for a minute: it is down, slow (bytes dribble), answers 503 (for the broker: something
that is no Kafka), cuts connections within a body, is silent (they stay open). What the others take
meanwhile is compared with what they take when nothing fails; how long it takes until all is there
again is measured; in the end every source holds what was sent, exactly.
"""

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.outage_broker import running_broker
from benchmarks.outage_parties import Bucket, Files, Party, Webhook
from benchmarks.report import Row, judged, ms, percentiles, table
from services.fault_proxy import FaultProxy
from services.ports import free_port
from services.stores import CREDENTIALS, Stores
from support.hooks import SECRET
from support.project import Project

HEAD = """
import pandera.pandas as pa
from pandera.typing import DataFrame
from afresh import asset, source
from afresh.sensors import bucket, env, files, kafka, webhook


class Number(pa.DataFrameModel):
    n: int
"""
RATE = 3.0
CALM_SECONDS = 20.0
RECOVERED_WITHIN_SECONDS, GIVEN_UP_SECONDS = 60.0, 300.0
CUTS = [(60, None), (400, None), (2000, None), (None, 100), (None, 300)]
"""After so many bytes of answers, or of requests."""
SLOW_BYTES_A_SECOND = 300
SLACK_SECONDS = 0.1
"""What the median of the others may take longer: two cores are shared with all that fails."""


def _cut(proxy: FaultProxy) -> None:
    """Cut answers, or requests, within a head or a body, each for a while: some are short."""
    chance = Random(0)

    def change() -> None:
        while proxy.cut_after is not None or proxy.cut_asked_after is not None:
            proxy.cut_after, proxy.cut_asked_after = chance.choice(CUTS)
            time.sleep(1.0)

    proxy.cut_after = 60
    threading.Thread(target=change, daemon=True).start()


FAULTS: dict[str, Callable[[FaultProxy], None]] = {
    "down": FaultProxy.take_down,
    "slow": lambda proxy: setattr(proxy, "bytes_a_second", SLOW_BYTES_A_SECOND),
    "503": lambda proxy: setattr(proxy, "answer", 503),
    "cut": _cut,
    "silent": lambda proxy: setattr(proxy, "stalled", True),
}


@dataclass
class Window:
    """A time in which one thing failed, or nothing (`party` is "")."""

    party: str
    what: str
    fault: str
    began_at: float
    ended_at: float = 0.0
    recovered: float = 0.0
    """Seconds until all that was sent meanwhile was taken."""
    refused: int = 0


@dataclass
class Outcome:
    """How a campaign went: `wrong` is empty if nothing was lost or doubled."""

    windows: list[Window] = field(default_factory=list)
    latencies: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """By source: when each arrival was sent, and the seconds until it was in a version."""
    sent: int = 0
    wrong: list[str] = field(default_factory=list)

    def of(self, source: str, windows: Sequence[Window]) -> list[float]:
        """Give the latencies of what a source was sent in these windows."""
        return [
            seconds
            for at, seconds in self.latencies[source]
            if any(window.began_at <= at < window.ended_at for window in windows)
        ]


class Outages:
    """One project with a source a party."""

    def __init__(self, folder: Path, parties: Sequence[Party]) -> None:
        self.parties = parties
        definitions = HEAD + "".join(party.declaration for party in parties)
        settings = "".join(party.settings for party in parties)
        self.project = Project.make(folder, definitions, settings)
        self.outcome = Outcome()
        self._stop = threading.Event()
        for party in parties:
            party.begin(folder)

    def run(
        self,
        seconds: float,
        *,
        calm: float = CALM_SECONDS,
        only: Sequence[str] = (),
        faults: Sequence[str] = tuple(FAULTS),
    ) -> Outcome:
        """Let each thing fail in each way for so long; then compare."""
        try:
            return self._run(seconds, calm, only, faults)
        finally:
            for party in self.parties:
                party.close()

    def _run(
        self, seconds: float, calm: float, only: Sequence[str], faults: Sequence[str]
    ) -> Outcome:
        senders = [
            threading.Thread(target=self._send, args=(party,), daemon=True)
            for party in self.parties
        ]
        with self.project.running():
            for sender in senders:
                sender.start()
            try:
                time.sleep(2.0)  # workers are warm
                self._calm(calm)
                for party in self.parties:
                    for what, proxy in party.proxies.items():
                        if not only or what in only:
                            for fault in faults:
                                self._fail(party, what, proxy, fault, seconds)
                                self._calm(calm / 4)
            finally:
                self._stop.set()
                for sender in senders:
                    sender.join()
            for party in self.parties:
                self._taken(party, GIVEN_UP_SECONDS)
            self.project.run("wait", "--timeout", "120")
            self._judge()
        return self.outcome

    def _send(self, party: Party) -> None:
        begun, number = time.monotonic(), 0
        while not self._stop.is_set():
            party.send(number)
            number += 1
            self._stop.wait(max(0.0, begun + number / RATE - time.monotonic()))

    def _calm(self, seconds: float) -> None:
        window = Window("", "", "", time.time())
        time.sleep(seconds)
        window.ended_at = time.time()
        self.outcome.windows.append(window)

    def _fail(self, party: Party, what: str, proxy: FaultProxy, fault: str, seconds: float) -> None:
        window = Window(party.name, what, fault, time.time())
        before = proxy.refused
        FAULTS[fault](proxy)
        time.sleep(seconds)
        proxy.bring_up()
        window.ended_at = time.time()
        window.refused = proxy.refused - before
        window.recovered = self._taken(party, GIVEN_UP_SECONDS)
        self.outcome.windows.append(window)
        print(f"{what} {fault}: {window.recovered:.1f} s", file=sys.stderr)

    def _taken(self, party: Party, seconds: float) -> float:
        """Wait until all that was sent by now was taken; how long that took."""
        began = time.monotonic()
        sent = set(party.sent())
        while missing := sent - self._events(party).keys():
            if time.monotonic() > began + seconds:
                names = ", ".join(sorted(missing)[:3])
                raise TimeoutError(f"{party.name}: {len(missing)} not taken: {names}")
            time.sleep(0.2)
        return time.monotonic() - began

    def _events(self, party: Party) -> dict[str, list[float]]:
        """Give when each event's data was in a version, by place."""
        found: dict[str, list[float]] = {}
        for uri, ended_at in self.project.rows(
            "select e.uri, r.ended_at from event e join run r on r.run = e.run and r.asset = ?"
            " where e.source = ? and e.state = 'ingested' order by e.seq",
            party.name,
            party.name,
        ):
            for place in party.places(uri):
                found.setdefault(place, []).append(ended_at)
        return found

    def _judge(self) -> None:
        outcome = self.outcome
        for party in self.parties:
            sent, name = party.sent(), party.name
            taken = self._events(party)
            outcome.sent += sum(map(len, sent.values()))
            outcome.latencies[name] = [
                (wrote[0][1], taken[uri][0] - wrote[0][1])
                for uri, wrote in sent.items()
                if len(wrote) == 1
            ]
            outcome.wrong += [f"never sent: {uri}" for uri in taken.keys() - sent.keys()]
            counted = Counter(
                place
                for (uri,) in self.project.rows(
                    "select uri from event where source = ? and kind = 'arrived'", name
                )
                for place in party.places(uri)
            )
            outcome.wrong += [
                f"{name}: {place} arrived {count} times, was sent {len(sent.get(place, ()))} times"
                for place, count in counted.items()
                if count > len(sent.get(place, ()))
            ]
            expected = party.held()
            for asset, factor in ((name, 1), (f"{name}_made", 2)):
                held = sorted(row["n"] for row in self._read(asset))
                if held != [factor * number for number in expected]:
                    missing = {factor * n for n in expected} - set(held)
                    outcome.wrong.append(
                        f"{asset} holds {len(held)}, expected {len(expected)}; not {missing}"
                    )
            outcome.wrong += getattr(party, "wrong", [])
        for sensor in self.project.json("sensors"):
            if sensor["state"] != "watching":
                outcome.wrong.append(f"{sensor['sensor']}: {sensor['state']} {sensor['error']}")
        if self.project.run("verify", check=False).returncode:
            outcome.wrong.append("verify failed")
        texts = [self.project.folder / "up.log", *self.project.state.glob("ledger.sqlite*")]
        secrets = (SECRET, CREDENTIALS["AWS_SECRET_ACCESS_KEY"])
        outcome.wrong += [
            f"a secret is in {file.name}"
            for file in texts
            if any(secret.encode() in file.read_bytes() for secret in secrets)
        ]

    def _read(self, asset: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.project.run("read", asset, "--json").stdout)
        return found


def rows_of(outcome: Outcome) -> list[Row]:
    """Lay it out: one row a thing that failed, with the worst of the others."""
    calm = [window for window in outcome.windows if not window.party]
    rows = []
    for window in outcome.windows:
        if not window.party:
            continue
        others, met = [], window.recovered <= RECOVERED_WITHIN_SECONDS
        for name in outcome.latencies:
            if name == window.party:
                continue
            usual, now = (
                percentiles(outcome.of(name, calm)),
                percentiles(outcome.of(name, [window])),
            )
            met = met and now[0] <= 2 * usual[0] + SLACK_SECONDS
            others.append(
                f"{name} {ms(now[0])} / {ms(now[1])} (calm {ms(usual[0])} / {ms(usual[1])})"
            )
        rows.append(
            Row(
                f"{window.what} {window.fault} for {window.ended_at - window.began_at:.0f} s",
                f"all there {window.recovered:.1f} s after; others p50 / p95: {', '.join(others)}",
                "",
                "others as ever, recovers by itself",
                judged(met),
            )
        )
    rows.append(
        Row(
            f"after {len(rows)} outages, {outcome.sent} arrivals",
            "; ".join(outcome.wrong[:5]) or "each held once, nothing else",
            "",
            "nothing lost or doubled",
            judged(not outcome.wrong),
        )
    )
    return rows


def parties_of(stores: Stores) -> list[Party]:
    """Make them all."""
    port = free_port()
    return [Files(), Bucket(stores.get("moto")), Webhook(port)]


def main() -> int:
    """Run a campaign; 0 if the goals are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--only", nargs="+", default=[], help="store, queue, callers, broker")
    parser.add_argument("--faults", nargs="+", default=list(FAULTS), choices=list(FAULTS))
    parser.add_argument("--keep", type=Path, help="leave the project in this new folder")
    given = parser.parse_args()
    os.environ.update(CREDENTIALS, ORDERS_SECRET=SECRET)
    stores = Stores()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="afresh-outages-") as scratch,
            running_broker() as broker,
        ):
            parties = [*parties_of(stores), broker]
            campaign = Outages(given.keep or Path(scratch) / "project", parties)
            outcome = campaign.run(given.seconds, only=given.only, faults=given.faults)
    finally:
        stores.close()
    rows = rows_of(outcome)
    print(table(rows))
    return int(any(row.verdict == "missed" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
