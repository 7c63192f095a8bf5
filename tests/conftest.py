"""Shared by all tests: the async backend, and how hard Hypothesis tries."""

import faulthandler
import gc
import os
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

TEARDOWN_SECONDS = 120.0
_stderr = pytest.StashKey[int]()

pytest_plugins = ["services.kafka", "services.registry", "services.stores"]

# `ci` is what `.ci/run` uses and is the same on every run; `dev` looks for new examples;
# `thorough` is for a night: HYPOTHESIS_PROFILE=thorough make test
settings.register_profile(
    "ci",
    max_examples=100,
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("dev", max_examples=100, deadline=None, print_blob=True)
settings.register_profile("thorough", max_examples=5000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Unit tests first, tests with a service last: its clients' threads stay out of the others."""
    items.sort(key=lambda item: item.get_closest_marker("service") is not None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let clients that nobody holds go now: s3fs closes theirs in whatever loop is running then."""
    if item.get_closest_marker("service") is not None:
        gc.collect()


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Tell failures at once, where this process is the one that reports."""
    config.stash[_stderr] = os.dup(2)  # that of the terminal: nothing is captured yet
    if (terminal := config.pluginmanager.get_plugin("terminalreporter")) is not None:
        config.pluginmanager.register(_Tell(terminal))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """End the process if a teardown hangs: pytest-timeout lets those of failed tests (its 196)."""
    faulthandler.dump_traceback_later(TEARDOWN_SECONDS, exit=True, file=item.config.stash[_stderr])
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


class _Tell:
    """Names what failed as it fails: of a run that is cut off, that much is known."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Name a test that failed, and in a line why, below the line of dots."""
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            reason = (crash.message if crash else report.longreprtext).partition("\n")[0]
            self._terminal.write_line(f"\n{report.nodeid} failed ({report.when}): {reason}")


@pytest.fixture(params=["asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Async tests run on asyncio; a suite for the core overrides this to run on trio as well."""
    return str(request.param)
