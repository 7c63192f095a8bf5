import signal

import pytest

from afresh.daemon.workers.deaths import cause_of, timed_out


@pytest.mark.parametrize(
    ("status", "oom", "kind", "words"),
    [
        (3 << 8, False, "exited", "exit code 3"),
        (0, True, "exited", "exit code 0"),
        (signal.SIGKILL, False, "killed", "from outside (SIGKILL)"),
        (signal.SIGKILL, True, "memory", "want of memory (SIGKILL)"),
        (signal.SIGSEGV, True, "killed", "SIGSEGV"),
        (signal.SIGSEGV | 0x80, False, "killed", "SIGSEGV"),
        (None, True, "killed", "forked from"),
        (64, False, "killed", ""),
    ],
)
def test_a_wait_status_in_words(status: int | None, oom: bool, kind: str, words: str) -> None:
    cause = cause_of(status, out_of_memory=oom)
    assert cause.kind == kind
    assert words in cause.error


def test_a_timeout_names_its_seconds() -> None:
    assert timed_out(90.0).error == "it ran for more than 90 s and was ended"
