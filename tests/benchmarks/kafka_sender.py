"""Sends an order for each number on stdin, and prints when it began to: a producer that is warm."""

import asyncio
import sys
import time

from aiokafka import AIOKafkaProducer

from benchmarks.orders import TOPIC, message


async def main(servers: str) -> None:
    """Send until stdin ends."""
    producer = AIOKafkaProducer(bootstrap_servers=servers, linger_ms=0)
    await producer.start()
    await producer.partitions_for(TOPIC)
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        began = time.monotonic()
        await producer.send_and_wait(TOPIC, message(int(line)), partition=int(line) % 12)
        print(began, flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
