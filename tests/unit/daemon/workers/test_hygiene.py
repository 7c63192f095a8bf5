import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from afresh.daemon.workers import hygiene as module
from afresh.daemon.workers.hygiene import Hygiene
from support.processes import is_alive


@pytest.fixture
def hygiene(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hygiene]:
    monkeypatch.setattr(module, "_OF_LIBRARIES", tuple(t.name for t in threading.enumerate()))
    # Those of this process are the servers of other tests.
    monkeypatch.setattr(module, "_has_children", lambda: False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KEPT", "as it was")
    made = Hygiene()
    yield made
    made.clean()


def test_what_can_be_put_back_is_put_back(hygiene: Hygiene, tmp_path: Path) -> None:
    streams, path = (sys.stdout, sys.stderr), list(sys.path)
    hygiene.prepare()
    os.chdir("/")
    os.environ["KEPT"] = "changed"
    os.environ["NEW"] = "1"
    mask = os.umask(0o077)
    sys.path.append("/nowhere")
    sys.stdout = sys.stderr
    handler = signal.getsignal(signal.SIGALRM)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 100)
    assert hygiene.clean() == ""
    assert Path.cwd() == tmp_path
    assert os.environ["KEPT"] == "as it was"
    assert "NEW" not in os.environ
    assert os.umask(mask) == mask
    assert sys.path == path
    assert (sys.stdout, sys.stderr) == streams
    assert signal.getsignal(signal.SIGALRM) == handler
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


CHILDREN = """
import subprocess
from afresh.daemon.workers.hygiene import Hygiene

before = subprocess.Popen(["sleep", "60"])
try:
    made = Hygiene()
    left = subprocess.Popen(["sleep", "60"])
    assert made.clean() == "processes were left running"
    assert made.clean() == ""
    assert before.poll() is None
    print(left.pid)
finally:
    before.kill()
"""


def test_a_process_left_running_is_ended_and_one_that_was_there_before_is_not() -> None:
    """In a process of its own: it reaps whatever is its child."""
    command = [sys.executable, "-c", CHILDREN]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=60)
    assert not is_alive(int(done.stdout))


def test_a_thread_left_running_is_named(hygiene: Hygiene) -> None:
    over = threading.Event()
    thread = threading.Thread(target=over.wait, name="poller")
    thread.start()
    try:
        assert hygiene.clean() == "threads were left running: poller"
    finally:
        over.set()
        thread.join()
    assert hygiene.clean() == ""


def test_output_that_was_redirected_is_noticed(hygiene: Hygiene) -> None:
    kept = os.dup(1)
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        assert hygiene.clean() == "its output was redirected"
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def test_a_worker_does_not_go_on_for_ever(hygiene: Hygiene) -> None:
    for _ in range(module.MOST_TASKS - 1):
        hygiene.prepare()
        assert hygiene.clean() == ""
    hygiene.prepare()
    assert hygiene.clean() == f"it did {module.MOST_TASKS} tasks"


def test_a_worker_that_grew_ends(hygiene: Hygiene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_peak_bytes", lambda: 1 << 50)
    assert hygiene.clean() == ""
    monkeypatch.setattr(module, "resident_bytes", lambda: 1 << 50)
    assert hygiene.clean() == "it grew"


def test_each_attempt_has_randomness_of_its_own(hygiene: Hygiene) -> None:
    state = random.getstate()
    seen = set()
    for _ in range(3):
        random.setstate(state)
        hygiene.prepare()
        seen.add(random.random())
    assert len(seen) == 3
