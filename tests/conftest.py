"""Shared by all tests: the async backend, and how hard Hypothesis tries."""

import gc
import os

import pytest
from hypothesis import HealthCheck, settings

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


@pytest.fixture(params=["asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Async tests run on asyncio; a suite for the core overrides this to run on trio as well."""
    return str(request.param)
