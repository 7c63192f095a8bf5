"""How long commands take to start, from a wheel: an editable install adds 10 ms to each."""

import compileall
import subprocess
import sys
import sysconfig
import time
import venv
import zipfile
from pathlib import Path
from statistics import median

from benchmarks.graphs import fans
from benchmarks.report import Row, judged, ms
from support.project import Project

ROOT = Path(__file__).parents[2]
SCRIPT = """#!{python}
import sys
from afresh.daemon.cli import main
if __name__ == "__main__":
    sys.exit(main())
"""
REPEAT = 15


def measure(folder: Path) -> list[Row]:
    """Give the rows."""
    python, command = install(folder)
    project = Project.make(folder / "project", fans(999))
    for number in range(333):
        (project.folder / f"landing/s{number}.csv").write_text("n\n1\n")
    project.run("up", "--until-idle", timeout=120)
    ask = (str(command), "status", "--project", str(project.folder))
    nothing, version, status = timed((str(python), "-c", "pass"), (str(command), "--version"), ask)
    with project.running():
        (nothing_meanwhile, live) = timed((str(python), "-c", "pass"), ask)
    return [
        Row(
            "afresh --version",
            ms(version),
            f"{ms(nothing)} (python -c pass)",
            f"≤ 3 × ({version / nothing:.1f} ×)",
            judged(version <= 3 * nothing),
        ),
        Row(
            "afresh status of 1,000 assets",
            f"{ms(status)}; with a daemon {ms(live)}",
            ms(nothing),
            f"≤ 15 × ({status / nothing:.1f} ×; {live / nothing_meanwhile:.1f} ×)",
            judged(status <= 15 * nothing and live <= 15 * nothing_meanwhile),
        ),
    ]


def install(folder: Path) -> tuple[Path, Path]:
    """Unpack the wheel into an environment that sees this one's libraries; python and afresh."""
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, ROOT],
        check=True,
    )
    (wheel,) = folder.glob("afresh-*.whl")
    environment = folder / "venv"
    venv.create(environment, symlinks=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(packages)
    # As pip does: where nothing may write bytecode, each command would compile anew.
    compileall.compile_dir(packages / "afresh", quiet=2)
    # Only the folder: the editable install's own .pth in there is not followed.
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    python, command = environment / "bin/python", environment / "bin/afresh"
    command.write_text(SCRIPT.format(python=python))
    command.chmod(0o755)
    return python, command


def timed(*commands: tuple[str, ...]) -> list[float]:
    """Median wall time of each command; in turn, so that all meet the same machine."""
    seconds: list[list[float]] = [[] for _ in commands]
    for _ in range(REPEAT + 2):
        for command, taken in zip(commands, seconds, strict=True):
            began = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            taken.append(time.perf_counter() - began)
    return [median(taken[2:]) for taken in seconds]
