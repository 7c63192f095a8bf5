"""What stands in deploy/, as far as a machine without the services can tell."""

import configparser
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import afresh

DEPLOY = Path(__file__).parents[2] / "deploy"
SYSTEMD = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(SYSTEMD is None, reason="systemd-analyze is not installed")


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    assert SYSTEMD is not None
    return subprocess.run(
        [SYSTEMD, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"},
    )


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a command and documentation that exist here."""
    text = (DEPLOY / "afresh.service").read_text()
    text = text.replace("/opt/afresh/bin/afresh", "/bin/true")
    path = tmp_path / "afresh.service"
    path.write_text(text)
    return path


@needs_systemd
def test_systemd_finds_nothing_wrong_with_the_unit(unit: Path) -> None:
    verified = analyze("verify", "--man=no", unit)
    complaints = [line for line in verified.stderr.splitlines() if "afresh.service" in line]
    assert complaints == []


@needs_systemd
def test_the_unit_is_hardened(unit: Path) -> None:
    audited = analyze("security", "--offline=yes", "--threshold=25", "--no-pager", unit)
    assert audited.returncode == 0, audited.stdout + audited.stderr


def test_the_unit_waits_for_readiness_and_survives_a_worker_out_of_memory() -> None:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(DEPLOY / "afresh.service")
    service = parser["Service"]
    assert service["Type"] == "notify"
    assert service["KillMode"] == "mixed"
    assert service["OOMPolicy"] == "continue"


def test_the_container_copies_what_there_is() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    copied = [
        name
        for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE)
        for name in line.split()[:-1]
    ]
    assert {"pyproject.toml", "afresh", "assets", "sensors", "storage", "daemon"} <= set(copied)
    assert [name for name in copied if not (DEPLOY.parent / name).exists()] == []
    ignored = (DEPLOY / "Containerfile.dockerignore").read_text().splitlines()
    assert [name for name in copied if f"!{name}" not in ignored] == []


def test_the_image_is_named_by_the_version() -> None:
    assert f"image: afresh:{afresh.__version__}" in (DEPLOY / "compose.yaml").read_text()


@pytest.mark.skipif(shutil.which("docker") is None, reason="docker is not installed")
def test_compose_understands_the_file() -> None:
    version = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    if version.returncode != 0:
        pytest.skip("docker has no compose plugin")
    checked = subprocess.run(
        ["docker", "compose", "-f", DEPLOY / "compose.yaml", "config", "--quiet"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
