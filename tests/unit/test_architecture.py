"""The map names what there is: it is no use when modules have moved on."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = [
    line for line in (ROOT / "ARCHITECTURE.md").read_text().splitlines() if line.startswith("| ")
]
# Every word of the tables that is set as code, but for what is code and no module.
NO_MODULES = {"why", "afresh/", "deploy/", "tests/"}
NAMES = sorted(
    {name for row in ROWS for name in re.findall(r"`([a-z][a-z_/*]+)`", row)} - NO_MODULES
)
MODULES = {
    path.relative_to(ROOT).with_suffix("").as_posix()
    for folder in ("assets", "sensors", "storage", "daemon")
    for path in (ROOT / folder, *(ROOT / folder).rglob("*"))
}


@pytest.mark.parametrize("name", NAMES)
def test_what_the_map_names_is_there(name: str) -> None:
    """A bare name is of any folder."""
    pattern = re.compile("(.*/)?" + re.escape(name.rstrip("/")).replace(r"\*", "[a-z_]*"))
    assert any(pattern.fullmatch(module) for module in MODULES)


def test_it_names_something() -> None:
    assert len(NAMES) > 80
