"""Runs the measures and prints the table.  make bench ARGS="--only arrival start --readme" """

import argparse
import os
import platform
import re
import sys
import tempfile
import time
import traceback
from importlib import import_module
from pathlib import Path

from benchmarks.report import Row, table

MEASURES = (
    "arrival",
    "overhead",
    "hundred_files",
    "many_assets",
    "burst",
    "idle",
    "start",
    "crashes",
    "kafka",
    "objects",
)
README = Path(__file__).parents[2] / "README.md"
BLOCK = re.compile(r"(<!-- bench: begin.*?-->\n).*?(\n<!-- bench: end -->)", re.DOTALL)


def main() -> int:
    """Run what was asked for; 1 if a measure misses its goal or cannot be taken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=MEASURES, default=MEASURES)
    parser.add_argument("--readme", action="store_true", help="write the table into README.md")
    arguments = parser.parse_args()
    rows: list[Row] = []
    for name in arguments.only:
        began = time.monotonic()
        print(f"{name} ...", end=" ", flush=True, file=sys.stderr)
        rows += taken(name)
        print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    text = f"{conditions()}\n\n{table(rows)}"
    print(text)
    if arguments.readme:
        README.write_text(BLOCK.sub(lambda found: found[1] + text + found[2], README.read_text()))
    return int(any(row.verdict == "missed" for row in rows))


def taken(name: str) -> list[Row]:
    """Take one measure in a folder of its own; what goes wrong is a row that says so."""
    # Lazy: each measure brings libraries that the others must not have loaded.
    module = import_module(f"benchmarks.{name}")
    with tempfile.TemporaryDirectory(prefix="afresh-bench-") as folder:
        try:
            found: list[Row] = module.measure(Path(folder))
        except Exception as error:  # noqa: BLE001  one measure must not cost the others
            traceback.print_exc()
            return [Row(name, f"failed: {error!r}"[:120].replace("\n", " "), "", "", "missed")]
    return found


def conditions() -> str:
    """Say where and when this was measured."""
    cores = len(os.sched_getaffinity(0))
    today = time.strftime("%B %Y")
    return f"{today}, {cores} cores, Python {platform.python_version()}, {platform.system()}."


if __name__ == "__main__":
    sys.exit(main())
