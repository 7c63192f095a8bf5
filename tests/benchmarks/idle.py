"""10,000 assets: loading them, doing nothing, memory, and an event that touches three."""

import resource
import time
from pathlib import Path

from benchmarks.graphs import HEAD, fans
from benchmarks.report import Row, judged, ms
from support.processes import cpu_seconds, memory_mib
from support.project import Project, rename_in

ASSETS, FILES, WARM, EVENTS, WINDOW_SECONDS = 9_999, 10_000, 5, 40, 60.0
SETTLE_SECONDS, TIMES = 5.0, 3
LISTED = 'source("listed", files("landing/many/{name}.csv"))\n'
MADE = "select count(*) > 0 from unit where asset = ? and version = ?"


def measure(folder: Path) -> list[Row]:
    """Give the rows."""
    return [*loading(folder / "load"), *resting(folder)]


def loading(folder: Path) -> list[Row]:
    """Time `afresh check` at three sizes, in turn, and take the best of each.

    Whether it is linear is told by its CPU time, which others on the machine change less.
    """
    sizes = (10, 2_500, 5_000, ASSETS)
    projects = {assets: Project.make(folder / str(assets), fans(assets)) for assets in sizes}
    seconds = dict.fromkeys(sizes, float("inf"))
    worked = dict(seconds)
    for _ in range(TIMES):
        for assets, project in projects.items():
            began, before = time.monotonic(), _cpu_of_ended()
            project.run("check", "--json")
            seconds[assets] = min(seconds[assets], time.monotonic() - began)
            worked[assets] = min(worked[assets], _cpu_of_ended() - before)
    quarter, half, full = ((worked[assets] - worked[10]) / assets for assets in sizes[1:])
    growth = ", ".join(f"{assets:,}: {value:.1f} s" for assets, value in worked.items())
    return [
        Row(
            "load 10,000 assets (check)",
            f"{seconds[ASSETS]:.1f} s",
            f"{seconds[10]:.1f} s (10 assets)",
            f"≤ 5 s, linear (CPU of {growth})",
            judged(seconds[ASSETS] <= 5 and full <= 1.2 * min(quarter, half)),
        )
    ]


def _cpu_of_ended() -> float:
    """CPU seconds of the processes that ended below this one."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def resting(folder: Path) -> list[Row]:
    """Let a daemon with 10,000 assets rest, touch three of them, then let it watch 10,000 files."""
    project = Project.make(folder / "large", fans(ASSETS))
    for group in range(ASSETS // 3):  # data for each, so that nothing is missing or blocked
        (project.folder / f"landing/s{group}.csv").write_bytes(b"n\n1\n")
    project.run("up", "--until-idle", timeout=900)
    with project.running() as daemon:
        time.sleep(SETTLE_SECONDS)
        resident = memory_mib(daemon.pid, "Rss")
        proportional = sum(memory_mib(pid, "Pss") for pid in daemon.tree())
        large = touched(project, daemon.pid)
    busy, crowded = watching_files(project)
    project = Project.make(folder / "small", fans(9))
    with project.running() as daemon:
        time.sleep(SETTLE_SECONDS)
        bare = memory_mib(daemon.pid, "Rss")
        small = touched(project, daemon.pid)
    return [
        Row(
            "idle CPU of all, 10,000 assets, a scan of 10,000 files",
            f"{busy:.2%}",
            "0 %",
            "< 0.5 %",
            judged(busy < 0.005),
        ),
        Row(
            "daemon's CPU for an event that touches 3 of 10,000",
            ms(large),
            f"{ms(small)} (3 of 9)",
            f"≤ 1.2 × ({large / small:.2f} ×)",
            judged(large <= 1.2 * small),
        ),
        Row(
            "resident memory of the daemon, 10,000 assets",
            f"{resident:.0f} MiB ({crowded:.0f} with 10,000 partitions more)",
            f"{bare:.0f} MiB (9 assets)",
            "≤ 90 MB (85.8 MiB)",
            judged(resident * 1.048576 <= 90),
        ),
        Row("PSS of all its processes", f"{proportional:.0f} MiB", "", "reported", "reported"),
    ]


def watching_files(project: Project) -> tuple[float, float]:
    """Add a source of 10,000 files, let all be read, then rest: the share of a CPU, and memory."""
    many = project.folder / "landing/many"
    many.mkdir()
    for number in range(FILES):
        (many / f"{number}.csv").write_bytes(b"n\n%d\n" % number)
    (project.folder / "pipeline.py").write_text(fans(ASSETS) + HEAD + LISTED)
    project.run("up", "--until-idle", timeout=900)
    with project.running() as daemon:
        time.sleep(SETTLE_SECONDS)
        cpu = sum(map(cpu_seconds, daemon.tree()))
        time.sleep(WINDOW_SECONDS)  # one scan interval: exactly one scan
        busy = (sum(map(cpu_seconds, daemon.tree())) - cpu) / WINDOW_SECONDS
        return busy, memory_mib(daemon.pid, "Rss")


def touched(project: Project, pid: int) -> float:
    """CPU of the daemon process an event, over many; each goes through a source and two assets."""
    landing = project.folder / "landing" / "s1.csv"
    ((known,),) = project.rows("select coalesce(max(version), 0) from unit where asset = 'c1'")
    began = 0.0
    for number in range(WARM + EVENTS):
        if number == WARM:
            time.sleep(0.5)
            began = cpu_seconds(pid)
        rename_in(landing, f"n\n{number + 100}\n")
        project.wait_for(MADE, "c1", known + number + 1)
    time.sleep(0.2)
    return (cpu_seconds(pid) - began) / EVENTS
