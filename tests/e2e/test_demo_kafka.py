"""`make demo-kafka`, shorter, on the broker that the tests share."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.service]
ROOT = Path(__file__).parents[2]


def test_the_live_demo_shows_what_it_promises(kafka_servers: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, ROOT / "deploy/demo/live.py", tmp_path / "flights-live"),
            *("--days", "4", "--pace", "0", "--servers", kafka_servers),
        ],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "NO_COLOR": "1", "PYTHONPATH": str(ROOT / "tests")},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "found b'not a flight'" in done.stdout
    assert "late_by_carrier  asset   fresh" in done.stdout
    assert "carrier  flights  hours  worst" in done.stdout
