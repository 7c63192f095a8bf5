"""A server of S3 and SQS that begins with many objects, then changes some and tells of it badly.

`python -m benchmarks.lake_server PORT COUNT CHANGES_A_SECOND SHARE LOG`: when something is written
to its input it changes that share, a fifth of it by deletion, and sends messages: 30 % lost, 30 %
doubled, shuffled. Each change is a line of LOG.
"""

import json
import logging
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer
from moto.sqs.models import sqs_backends

from benchmarks.quick_moto import compared

ACCOUNT, REGION, BUCKET, QUEUE = "123456789012", "us-east-1", "lake", "lake"
SHUFFLED = 50


def key(number: int) -> str:
    """Name an object."""
    return f"days/{number:07}.csv"


def body(number: int) -> bytes:
    """Write an object: a table of one number."""
    return f"n\n{number}\n".encode()


def change(count: int, rate: float, share: float, log: Path) -> None:
    """Change what is to be changed, at this rate, and tell of it."""
    s3, sqs = s3_backends[ACCOUNT]["aws"], sqs_backends[ACCOUNT][REGION]
    chosen = random.Random(5)
    numbers = chosen.sample(range(count), int(count * share))
    deleted = set(numbers[: len(numbers) // 5])
    chosen.shuffle(numbers)
    waiting: list[dict[str, Any]] = []
    begun = time.monotonic()
    with log.open("w") as file:
        for done, number in enumerate(numbers):
            name = key(number)
            if number in deleted:
                s3.delete_object(BUCKET, name)
                etag = ""
            else:
                etag = s3.put_object(BUCKET, name, body(count + number)).etag.strip('"')
            times = chosen.choice([0, 0, 0, 1, 1, 1, 1, 2, 2, 2])
            change = {"key": name, "etag": etag, "at": time.time(), "sent_at": None}
            waiting += [change] * times
            if not times:
                file.write(json.dumps(change) + "\n")
            if len(waiting) >= SHUFFLED or done == len(numbers) - 1:
                chosen.shuffle(waiting)
                for told in waiting:
                    record = {"bucket": {"name": BUCKET}, "object": {"key": told["key"]}}
                    first = told["sent_at"] is None
                    if first:
                        told["sent_at"] = time.time()
                    sqs.send_message(QUEUE, json.dumps({"Records": [{"s3": record}]}))
                    if first:
                        file.write(json.dumps(told) + "\n")
                waiting = []
            time.sleep(max(0.0, begun + done / rate - time.monotonic()))
        file.write(json.dumps({"end": time.time()}) + "\n")


def main() -> None:
    """Fill, serve, and wait for the word."""
    port, count = int(sys.argv[1]), int(sys.argv[2])
    rate, share, log = float(sys.argv[3]), float(sys.argv[4]), sys.argv[5]
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    s3 = s3_backends[ACCOUNT]["aws"]
    s3.create_bucket(BUCKET, REGION)
    for number in range(count):
        s3.put_object(BUCKET, key(number), body(number))
    sqs_backends[ACCOUNT][REGION].create_queue(QUEUE)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    compared(port, BUCKET, "days/")
    if sys.stdin.readline():
        change(count, rate, share, Path(log))
        sys.stdin.read()  # until who started it is done, or gone


if __name__ == "__main__":
    main()
    os._exit(0)  # its threads serve for ever
