"""What a test does where a service cannot be had: skip by name; in CI that is a failure."""

import os
from typing import NoReturn

import pytest


class Missing(Exception):
    """A service cannot be had; the text says what is missing."""


def skip(service: str, reason: Missing) -> NoReturn:
    """End the test: skipped by the service's name, failed where CI=true promises all services."""
    message = f"{service}: {reason}"
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(message, pytrace=False)
    pytest.skip(message)
