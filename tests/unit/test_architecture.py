"""The map names what there is: it is no use when modules have moved on."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECTION = (ROOT / "ARCHITECTURE.md").read_text().partition("## Where is it\n")[2]
ROWS = [line for line in SECTION.partition("\n## ")[0].splitlines() if line.startswith("| ")]
# In the second column; a command's name is one too.
NAMES = sorted(
    {
        name
        for row in ROWS
        for name in re.findall(r"`([a-z][a-z_/*]+)`", row.split("|")[2])
        if name != "why"
    }
)
MODULES = {
    path.relative_to(ROOT).with_suffix("").as_posix()
    for folder in ("assets", "sensors", "storage", "daemon")
    for path in (ROOT / folder).rglob("*")
}


@pytest.mark.parametrize("name", NAMES)
def test_what_the_map_names_is_there(name: str) -> None:
    """A bare name is of any folder."""
    pattern = re.compile("(.*/)?" + re.escape(name.rstrip("/")).replace(r"\*", "[a-z_]*"))
    assert any(pattern.fullmatch(module) for module in MODULES)


def test_it_names_something() -> None:
    assert len(NAMES) > 40
