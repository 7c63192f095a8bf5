"""The floor of Kafka: what people write by hand, a warm loop over `getmany`.

python kafka_script.py drain SERVERS OUT COUNT    write Parquet of all records; prints the seconds
python kafka_script.py watch SERVERS OUT          a line a batch: its last id, when it was durable
"""

import asyncio
import os
import sys
import time
from io import BytesIO
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).with_name("projects")))
os.environ.setdefault("ORDERS_SERVERS", "127.0.0.1:1")

import pandas as pd
import pyarrow as pa
import pyarrow.json as pj
import pyarrow.parquet as pq
from aiokafka import AIOKafkaConsumer, TopicPartition
from orders import Order, Priced

TOPIC = "orders"
BATCH_ROWS = 50_000
FIELDS = pa.schema(
    [("id", pa.int64()), ("item", pa.string()), ("price", pa.float64()), ("note", pa.string())]
)


def durable(table: pa.Table, path: Path) -> None:
    """Write Parquet so that it survives a power cut: the file and its folder synced."""
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        pq.write_table(table, file, compression="snappy")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def decode(records: list[Any]) -> pa.Table:
    """Parse JSON objects by their declared types, and add where they come from."""
    data = BytesIO(b"\n".join(record.value for record in records))
    options = pj.ParseOptions(explicit_schema=FIELDS)
    table = pj.read_json(data, parse_options=options)
    partitions = pa.array([record.partition for record in records], pa.int64())
    offsets = pa.array([record.offset for record in records], pa.int64())
    return table.append_column("partition", partitions).append_column("offset", offsets)


async def consumer(servers: str) -> AIOKafkaConsumer:
    """Read all partitions from the beginning."""
    made = AIOKafkaConsumer(TOPIC, bootstrap_servers=servers, auto_offset_reset="earliest")
    await made.start()
    return made


async def drain(servers: str, out: Path, count: int) -> None:
    """Write so many records, a file a batch."""
    source = await consumer(servers)
    began = time.monotonic()
    done = number = 0
    batch: list[Any] = []
    while done < count:
        for records in (await source.getmany(timeout_ms=1000)).values():
            batch += records
        if len(batch) >= BATCH_ROWS or done + len(batch) >= count:
            durable(decode(batch), out / f"orders-{number}.parquet")
            done += len(batch)
            number += 1
            batch = []
    print(time.monotonic() - began, flush=True)
    await source.stop()


async def watch(servers: str, out: Path) -> None:
    """Process what arrives until killed: two tables, and the offsets after them."""
    source = await consumer(servers)
    number = 0
    print("ready", flush=True)
    while True:
        found = await source.getmany(timeout_ms=1000)
        batch = [record for records in found.values() for record in records]
        if not batch:
            continue
        frame = Order.validate(decode(batch).to_pandas())
        durable(pa.Table.from_pandas(frame), out / f"orders-{number}.parquet")
        priced = pd.DataFrame({"id": frame["id"], "gross": frame["price"] * 1.19})
        durable(pa.Table.from_pandas(Priced.validate(priced)), out / f"priced-{number}.parquet")
        await keep(source, found, out)
        number += 1
        print(frame["id"].iloc[-1], time.monotonic(), flush=True)


async def keep(source: AIOKafkaConsumer, found: dict[TopicPartition, Any], out: Path) -> None:
    """Keep the offsets so that they survive a power cut."""
    offsets = [(place.partition, await source.position(place)) for place in found]
    names = ("partition", "offset")
    durable(
        pa.table(
            {
                name: list(column)
                for name, column in zip(names, zip(*offsets, strict=True), strict=True)
            }
        ),
        out / "offsets.parquet",
    )


if __name__ == "__main__":
    if sys.argv[1] == "drain":
        asyncio.run(drain(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])))
    else:
        asyncio.run(watch(sys.argv[2], Path(sys.argv[3])))
