"""The floor: what people write by hand. A warm script, a watchdog loop, durable files.

python script.py watch LANDING OUT      a line a file: its name, and when it was durable
python script.py batch LANDING OUT      all files, then one aggregate; prints the seconds
"""

import os
import sys
import time
from pathlib import Path
from queue import SimpleQueue

sys.path.insert(0, str(Path(__file__).with_name("projects")))

import pandas as pd
from flights_work import CarrierDelay, Flight, Total, delays, totals
from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

TYPES = {
    "carrier": "str",
    "flight": "int64",
    "origin": "str",
    "dest": "str",
    "dep_delay": "float64",
    "arr_delay": "float64",
    "distance": "int64",
    "hour": "int64",
}


def durable(frame: pd.DataFrame, path: Path) -> None:
    """Write Parquet so that it survives a power cut: the file and its folder synced."""
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        frame.to_parquet(file, index=False)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read(path: Path) -> pd.DataFrame:
    """Read by the declared types, and validate."""
    return Flight.validate(pd.read_csv(path, dtype=TYPES, keep_default_na=False, na_values=[""]))


def process(path: Path, out: Path) -> None:
    """Take one file to its two durable tables."""
    frame = read(path)
    durable(frame, out / f"flights-{path.stem}.parquet")
    durable(CarrierDelay.validate(delays(frame)), out / f"delays-{path.stem}.parquet")


class Handler(FileSystemEventHandler):
    """Queues paths."""

    def __init__(self, queue: "SimpleQueue[Path]") -> None:
        self.queue = queue

    def on_closed(self, event: FileSystemEvent) -> None:
        self.queue.put(Path(os.fsdecode(event.src_path)))

    def on_moved(self, event: FileSystemEvent) -> None:
        self.queue.put(Path(os.fsdecode(event.dest_path)))


def watch(landing: Path, out: Path) -> None:
    """Process what arrives until killed."""
    queue: SimpleQueue[Path] = SimpleQueue()
    observer = Observer()
    observer.schedule(Handler(queue), str(landing))
    observer.start()
    print("ready", flush=True)
    while True:
        path = queue.get()
        if path.suffix == ".csv" and not path.name.startswith("."):
            process(path, out)
            print(path.stem, time.monotonic(), flush=True)


def batch(landing: Path, out: Path) -> None:
    """Process all files that are there, then aggregate once."""
    paths = sorted(landing.glob("*.csv"))
    process(paths[0], out)  # warm
    began = time.monotonic()
    frames = []
    for path in paths:
        frames.append(read(path))
        durable(frames[-1], out / f"flights-{path.stem}.parquet")
    durable(Total.validate(totals(pd.concat(frames, ignore_index=True))), out / "total.parquet")
    print(time.monotonic() - began, flush=True)


if __name__ == "__main__":
    {"watch": watch, "batch": batch}[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
