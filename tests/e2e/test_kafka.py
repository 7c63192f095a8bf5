"""A topic in a project: rows appended and read by what is new, gaps told, contracts held."""

import io
import json
import time
from pathlib import Path
from typing import Any

import anyio
import fastavro
import pytest

from services.registry import Registry
from support.living import Living, until
from support.topics import add_partitions, make_topic, produce, producing, truncate

pytestmark = [pytest.mark.e2e, pytest.mark.service]

PIPELINE = """
import pandas as pd
import pandera.pandas as pa
from pandera.typing import DataFrame
from afresh import asset, source
from afresh.sensors import kafka

class Order(pa.DataFrameModel):
    id: int = pa.Field(ge=0)
    item: str

class Count(pa.DataFrameModel):
    n: int

source("orders", kafka("TOPIC", servers="SERVERS", OPTIONS), schema=Order)

@asset(new="orders")
def upper(orders: DataFrame[Order]) -> DataFrame[Order]:
    print("read", len(orders))
    return orders.assign(item=orders.item.str.upper())[["id", "item"]]

@asset
def count(orders: DataFrame[Order]) -> DataFrame[Count]:
    return pd.DataFrame({"n": [len(orders)]})
"""


def make(folder: Path, servers: str, topic: str, options: str = "batch_seconds=0.1") -> Living:
    pipeline = PIPELINE.replace("SERVERS", servers).replace("TOPIC", topic)
    return Living.make(folder, pipeline.replace("OPTIONS", options))


def write(servers: str, topic: str, *values: bytes, partitions: int = 1) -> None:
    async def main() -> None:
        await produce(servers, topic, values, partitions=partitions)

    anyio.run(main)


def orders(start: int, end: int) -> list[bytes]:
    return [b'{"id":%d,"item":"tea"}' % number for number in range(start, end)]


def rows(project: Living, ref: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = project.json("read", ref, "--limit", "1000")
    return found


def ids(project: Living, asset: str) -> list[int]:
    try:
        (newest,) = project.rows("select count(*) from version where asset = ?", asset)[0]
    except Exception:  # noqa: BLE001 - not yet a ledger
        return []
    return sorted(row["id"] for row in rows(project, asset)) if newest else []


def test_a_topic_is_appended_and_read_by_what_is_new(kafka_servers: str, tmp_path: Path) -> None:
    anyio.run(make_topic, kafka_servers, "e2e_orders", 2)
    project = make(tmp_path / "p", kafka_servers, "e2e_orders", 'columns=("offset", "partition")')
    write(kafka_servers, "e2e_orders", *orders(0, 100), b"poison", partitions=2)
    with project.running():
        until(lambda: ids(project, "upper") == list(range(100)))
        until(lambda: rows(project, "count") == [{"n": 100}])
        (sensor,) = project.json("sensors")
        assert (sensor["kind"], sensor["state"], sensor["lag"]) == ("kafka", "watching", 0)
        assert json.loads(sensor["cursor"])["next"] == {"0": 51, "1": 50}
        ((place, reason),) = project.rows("select place, reason from dead_letter")
        assert (json.loads(place)["channel"], json.loads(place)["offset"]) == (0, 50)
        assert "e2e_orders" in json.loads(place)["uri"]
        assert "Expected a JSON object" in reason

        project.run("sensors", "pause", "orders")
        write(kafka_servers, "e2e_orders", *orders(100, 140), partitions=2)
        anyio.run(truncate, kafka_servers, "e2e_orders", {1: 60})
        anyio.run(add_partitions, kafka_servers, "e2e_orders", 3)
        time.sleep(0.5)
        assert len(ids(project, "upper")) == 100
        project.run("sensors", "resume", "orders")
        until(lambda: len(ids(project, "upper")) == 130)
        (gap,) = project.json("events", "--kind", "gap")
        assert "lost offsets 50 to 59 (10)" in gap["detail"]
        assert gap["state"] == "dead"
        (news,) = project.json("events", "--kind", "news")
        assert "partition 2 of 'e2e_orders' is new" in news["detail"]
        assert news["state"] == "unchanged"
        assert "lost offsets 50 to 59" in project.run("events").stdout
        told = project.rows("select position from event where kind in ('gap', 'news') order by seq")
        assert told == [('{"1":[50,60]}',), ('{"2":[0,0]}',)]
        because = project.json("why", "orders")["because"]
        (missing,) = [entry for entry in because if entry["kind"] == "gap"]
        assert missing["event"] == gap["seq"]
        assert "lost offsets 50 to 59 (10)" in missing["detail"]
        (sensor,) = project.json("sensors")
        assert "lost offsets 50 to 59 (10)" in sensor["note"]
    assert len(rows(project, "orders@1")) <= 100
    assert len(rows(project, "orders")) == 130
    project.run("verify")


ORDER: dict[str, Any] = {
    "type": "record",
    "name": "Order",
    "fields": [{"name": "id", "type": "long"}, {"name": "item", "type": "string"}],
}


def avro(schema_id: int, schema: dict[str, Any], row: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(json.loads(json.dumps(schema))), row)
    return b"\0" + schema_id.to_bytes(4, "big") + out.getvalue()


def test_a_registry_that_is_down_is_waited_for_and_a_broken_contract_is_refused(
    kafka_servers: str, schema_registry: Registry, tmp_path: Path
) -> None:
    anyio.run(make_topic, kafka_servers, "e2e_avro")
    good = schema_registry.register("orders-value", ORDER)
    bad_fields = [{"name": "id", "type": "string"}, ORDER["fields"][1]]
    changed = {**ORDER, "fields": bad_fields}
    bad = schema_registry.register("orders-value", changed)
    schema_registry.status = 503
    options = f'format="avro", registry="{schema_registry.url}"'
    project = make(tmp_path / "p", kafka_servers, "e2e_avro", options)
    with project.running():
        write(kafka_servers, "e2e_avro", avro(good, ORDER, {"id": 1, "item": "tea"}))
        until(lambda: len(schema_registry.asked) > 1)
        assert ids(project, "upper") == []
        schema_registry.status = 200
        until(lambda: ids(project, "upper") == [1])
        assert project.rows("select count(*) from dead_letter") == [(0,)]

        write(kafka_servers, "e2e_avro", avro(bad, changed, {"id": "2", "item": "tea"}))
        project.until_state("orders", "failed")
        status = json.dumps(project.status("orders"))
        why = project.run("why", "orders", check=False).stdout
        assert "'id' of string" in status + why
        assert "'id' of int64" in status + why
        assert ids(project, "upper") == [1]
        assert project.rows("select count(*) from dead_letter") == [(0,)]


def test_a_source_that_is_reset_begins_again_and_says_where_it_was(
    kafka_servers: str, tmp_path: Path
) -> None:
    anyio.run(make_topic, kafka_servers, "e2e_reset", 2)
    project = make(tmp_path / "p", kafka_servers, "e2e_reset", 'columns=("offset", "partition")')
    write(kafka_servers, "e2e_reset", *orders(0, 10), partitions=2)
    with project.running():
        until(lambda: ids(project, "upper") == list(range(10)))
        done = project.run("sensors", "reset", "orders")
        assert done.stdout == "reset orders\n"
        until(lambda: ids(project, "upper") == sorted([*range(10), *range(10)]))
        (sensor,) = project.json("sensors")
        assert (sensor["state"], sensor["error"]) == ("watching", None)
        (told,) = [event for event in project.json("events") if event["kind"] == "request"]
        assert (told["source"], told["state"]) == ("orders", "ingested")
        assert 'reset by hand; it was at {"topic":' in told["detail"]
        assert '"next":{"0":5,"1":5}' in told["detail"]
        read = project.rows(
            "select position from event where kind = 'arrived' and seq > ?", told["seq"]
        )
        assert json.loads(read[0][0]).items() <= {"0": [0, 5], "1": [0, 5]}.items()

        project.run("sensors", "pause", "orders")
        project.run("sensors", "reset", "orders")
        assert project.json("sensors")[0]["state"] == "paused"
        time.sleep(0.5)
        assert len(ids(project, "orders")) == 20
    project.run("verify")


def test_messages_of_ten_megabytes_and_without_a_value_become_rows(
    kafka_servers: str, tmp_path: Path
) -> None:
    topic = "e2e_shapes"

    async def main() -> None:
        largest = str(16 << 20)
        await make_topic(kafka_servers, topic, settings={"max.message.bytes": largest})
        values = [b'{"id":1,"item":"%s"}' % (b"x" * (10 << 20)), b'{"id":2,"item":"tea"}', None]
        async with producing(kafka_servers, max_request_size=32 << 20) as producer:
            for value in values:
                await producer.send_and_wait(topic, value, key=b"k")

    anyio.run(main)
    project = make(tmp_path / "p", kafka_servers, topic, 'columns=("key",), tombstones="row"')
    text = (project.folder / "pipeline.py").read_text()
    text = text.replace("id: int = pa.Field(ge=0)", "id: pd.Int64Dtype = pa.Field(nullable=True)")
    text = text.replace("    item: str\n", "    item: str = pa.Field(nullable=True)\n")
    (project.folder / "pipeline.py").write_text(text)
    with project.running():
        until(lambda: project.rows("select count(*) from version where asset = 'count'") != [(0,)])
        until(lambda: rows(project, "count") == [{"n": 3}])
        read = [(row["id"], len(row["item"] or ""), row["key"]) for row in rows(project, "orders")]
        assert read == [(1, 10 << 20, "k"), (2, 3, "k"), (None, 0, "k")]
        assert project.rows("select count(*) from dead_letter") == [(0,)]
