"""A daemon over a bucket of many objects whose notifications are lost, doubled and shuffled.

    PYTHONPATH=tests python -m benchmarks.objects_daemon [100000 [60 [0.25]]]

Each object is a unit that is read, validated and kept. In the end what the ledger has is compared
with a listing, object by object, and the data of a thousand versions with what was written.
"""

import json
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

import boto3
import pyarrow.parquet as pq

from afresh.sensors.buckets.url import object_uri
from benchmarks.lake import Lake, running_lake
from benchmarks.lake_server import BUCKET, QUEUE
from benchmarks.report import Row, judged, ms, table
from support.processes import memory_mib
from support.project import Daemon, Project

OBJECTS, RATE, SHARE, INTERVAL_SECONDS = 5_000, 60.0, 0.25, 60.0
SAMPLE = 1_000
PIPELINE = """
import pandera.pandas as pa
from afresh import source
from afresh.sensors import bucket


class Number(pa.DataFrameModel):
    n: int


days = source("days", bucket("s3://{bucket}/days/{{day}}.csv", interval={interval},
              notifications="sqs://{queue}", storage_options={{"endpoint_url": {endpoint!r}}}),
              schema=Number)
"""
READ = "select count(*) = ? from unit where asset = 'days' and version is not null"
NEWS = "select seq, uri, identity from event where seq > ? order by seq"
AT_REST = "select count(*) = 0 from event where state = 'pending'"


def with_daemon(folder: Path, count: int, rate: float, share: float) -> list[Row]:
    """Give the rows."""
    with running_lake(folder, count, rate, share) as lake:
        given = {"bucket": BUCKET, "queue": QUEUE, "interval": INTERVAL_SECONDS}
        definitions = PIPELINE.format(endpoint=lake.endpoint, **given)
        project = Project.make(folder / "project", definitions)
        began = time.monotonic()
        with project.running() as daemon:
            found = watch(project, daemon, lake, count, began)
        return rows_of(project, lake, found, count)


def watch(
    project: Project, daemon: Daemon, lake: Lake, count: int, began: float
) -> dict[str, float]:
    """Let it read all, then let a share change; what that took."""
    wait(project, READ, count, seconds=60 + count / 5)
    read = time.monotonic() - began
    memory = memory_mib(daemon.pid, "Rss")
    lake.go()
    while not lake.ended:
        time.sleep(0.5)
    deadline = time.monotonic() + 2 * INTERVAL_SECONDS
    left, after = {state_of(change) for change in lake.changes()}, 0
    while left and time.monotonic() < deadline:
        time.sleep(2)
        for seq, uri, identity in project.rows(NEWS, after):
            left.discard((uri, etag_of(identity)))
            after = seq
    wait(project, AT_REST, seconds=600)
    return {"read": read, "memory": memory, "after": memory_mib(daemon.pid, "Rss")}


def wait(project: Project, sql: str, *given: Any, seconds: float) -> None:
    """Look once a second until it is so: looking costs, too."""
    until = time.monotonic() + seconds
    while not project.rows(sql, *given)[0][0]:
        if time.monotonic() > until:
            raise TimeoutError(sql)
        time.sleep(1)


def events(project: Project) -> dict[tuple[str, str], list[tuple[float, float | None]]]:
    """Give when each state of an object was observed, and when it was in a version."""
    found: dict[tuple[str, str], list[tuple[float, float | None]]] = {}
    for uri, identity, observed_at, ended_at in project.rows(
        "select e.uri, e.identity, e.observed_at, r.ended_at from event e"
        " left join run r on r.run = e.run and r.asset = e.source"
        " where e.kind in ('arrived', 'deleted') order by e.seq"
    ):
        found.setdefault((uri, etag_of(identity)), []).append((observed_at, ended_at))
    return found


def etag_of(identity: str) -> str:
    """Read the etag of an identity as events have it; "" for a deletion."""
    return str(json.loads(identity)["etag"]) if identity else ""


def state_of(change: dict[str, Any]) -> tuple[str, str]:
    """Name what a change brings about, as events do."""
    return object_uri("s3", f"{BUCKET}/{change['key']}"), change["etag"]


def listed(lake: Lake) -> dict[str, str]:
    """List the bucket: etags by uri."""
    s3 = boto3.client("s3", endpoint_url=lake.endpoint)
    found: dict[str, str] = {}
    after: dict[str, str] = {}
    while True:
        page = s3.list_objects_v2(Bucket=BUCKET, Prefix="days/", **after)
        for item in page.get("Contents", ()):
            found[object_uri("s3", f"{BUCKET}/{item['Key']}")] = item["ETag"].strip('"')
        if not page["IsTruncated"]:
            return found
        after = {"StartAfter": page["Contents"][-1]["Key"]}


def differences(project: Project, lake: Lake, count: int) -> list[str]:
    """Compare the ledger with a listing, and some data with what was written."""
    there = listed(lake)
    known = {
        uri: json.loads(identity)["etag"]
        for uri, identity in project.rows("select uri, identity from path where sensor = 'days'")
    }
    wrong = [uri for uri in there.keys() | known.keys() if there.get(uri) != known.get(uri)]
    ((deleted,),) = project.rows("select count(*) from unit where asset = 'days' and deleted")
    if deleted != count - len(there):
        wrong.append(f"{deleted} units are deleted")
    heads = project.rows(
        "select u.partition, v.uri from unit u join version v on v.asset = u.asset"
        " and v.partition = u.partition and v.version = u.version where u.asset = 'days'"
    )
    changed = {state_of(change)[0] for change in lake.changes() if change["etag"]}
    for key, uri in Random(1).sample(heads, min(SAMPLE, len(heads))):
        (number,) = pq.read_table(BytesIO(Path(uri).read_bytes()))["n"].to_pylist()
        expected = int(key)
        if object_uri("s3", f"{BUCKET}/days/{key}.csv") in changed:
            expected += count
        if number != expected:
            wrong.append(f"{key} holds {number}")
    return wrong


def rows_of(project: Project, lake: Lake, found: dict[str, float], count: int) -> list[Row]:
    """Lay it out."""
    changes, seen = lake.changes(), events(project)
    wrong = differences(project, lake, count)
    wrong += [f"{change['key']} is not known" for change in changes if state_of(change) not in seen]
    twice = [f"{state} {times}" for state, times in seen.items() if len(times) > 1]
    if (all_of := sum(map(len, seen.values()))) != count + len(changes) + len(twice):
        wrong.append(f"{all_of} events")
    told, published = [], []
    lost: dict[bool, list[float]] = {True: [], False: []}
    for change in changes:
        for observed_at, ended_at in seen.get(state_of(change), ())[:1]:
            if change["sent_at"] is None:
                lost[bool(change["etag"])].append(observed_at - change["at"])
                continue
            told.append(observed_at - change["sent_at"])
            if ended_at is not None:
                published.append(ended_at - change["sent_at"])
    told, published = sorted(told), sorted(published)
    overwritten, deleted = max(lost[True]), max(lost[False])
    p99 = told[int(len(told) * 0.99)]
    name = f"a daemon on {count:,} objects, {len(changes):,} changed"
    return [
        Row(
            f"{name}, notifications 30 % lost, 30 % doubled, shuffled",
            f"{len(wrong)} differ, {len(twice)} doubled {'; '.join([*wrong, *twice][:3])}",
            "",
            "the end equals the listing",
            judged(not wrong and not twice),
        ),
        Row(
            "... delivered → event p50 / p99, → version p50 / p99",
            f"{ms(told[len(told) // 2])} / {ms(p99)}, {ms(published[len(published) // 2])} /"
            f" {ms(published[int(len(published) * 0.99)])}",
            "",
            "p99 2 s",
            judged(p99 <= 2),
        ),
        Row(
            "... lost → event, longest",
            f"{overwritten:.1f} s overwritten, {deleted:.1f} s deleted",
            "",
            f"an interval ({INTERVAL_SECONDS:.0f} s)",
            judged(max(overwritten, deleted) <= INTERVAL_SECONDS),
        ),
        Row(
            "... all read, validated and kept; memory of the daemon then / in the end",
            f"{found['read']:.0f} s ({count / found['read']:.0f} a second);"
            f" {found['memory']:.0f} / {found['after']:.0f} MiB",
            "",
            "",
            "reported",
        ),
    ]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        given = [float(argument) for argument in sys.argv[1:]]
        defaults: list[float] = [OBJECTS, RATE, SHARE]
        count, rate, share = given + defaults[len(given) :]
        print(table(with_daemon(Path(scratch, "lake"), int(count), rate, share)))
