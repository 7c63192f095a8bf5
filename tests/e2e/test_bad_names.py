"""Hostile file names: handled or refused by name; no path outside, no broken terminal."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.living import Living

pytestmark = pytest.mark.e2e

PIPELINE = """
import pandas as pd
from afresh import Partition, asset, source
from afresh.sensors import files

rows = source("rows", files("landing/{k}.csv"))
pairs = source("pairs", files("pairs/{a}/{b}.csv"))

@asset(partitions="rows")
def own(rows: pd.DataFrame, key: Partition) -> pd.DataFrame:
    return rows.assign(parts=repr(key.parts))

@asset
def total(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[["n"]].sum().to_frame().T
"""

NAMES = {
    "plain": b"plain",
    "spaces": b"a b  c",
    "leading-space": b" x ",
    "single-quote": b"it's",
    "double-quote": b'say "hi"',
    "newline": b"two\nlines",
    "carriage-return": b"over\rwritten",
    "tab": b"a\tb",
    "escape": b"\x1b[31mred\x1b[0m",
    "bell": b"a\x07b",
    "percent-dots": b"%2e%2e",
    "percent": b"100%",
    "percent-slash": b"x..%2fetc",
    "dots": b"a..b..",
    "right-to-left": "abc\u202egpj".encode(),
    "zero-width": "a\u200bb".encode(),
    "accent": "j\u00f6rg".encode(),
    "decomposed": "jo\u0308rg".encode(),
    "emoji": "\U0001f600".encode(),
    "long": b"x" * 251,
    "long-newlines": b"\n" * 251,
    "latin-1": b"j\xf6rg",
    "not-utf8": b"\xff\xfe",
    "surrogate": b"\xed\xa0\x80",
    "brackets": b"[a,b]@1*",
    "comma": b"a,b",
    "dash": b"-rf",
    "sql": b"'; drop table unit; --",
    "markup": b"[bold]x[-bold]",
    "dollar": b"$(touch hacked)",
    "backslash": b"a\\b",
    "star": b"*",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Living]:
    made = Living.make(tmp_path_factory.mktemp("names") / "project", PIPELINE)
    (made.folder / "pairs").mkdir()
    landing = os.fsencode(made.folder / "landing")
    with made.running():
        for number, name in enumerate(NAMES.values()):
            part = landing + b"/.part"
            with open(part, "wb") as file:  # noqa: PTH123 - bytes are the point
                file.write(b"n\n%d\n" % (1 << number))
            os.rename(part, landing + b"/" + name + b".csv")  # noqa: PTH104
        made.settle()
        yield made


def test_each_is_a_unit_of_its_own(project: Living) -> None:
    rows = [row for row in project.json("status") if row["asset"] == "own"]
    keys = [row["partition"] for row in rows]
    assert len(set(keys)) == len(NAMES)
    assert {row["state"] for row in rows} == {"fresh"}
    for key in keys:
        assert re.fullmatch(r"[^\x00-\x1f\x7f,\[\]@*]+", key), key
        key.encode()
    assert project.read("total") == [{"n": (1 << len(NAMES)) - 1}]


def test_each_can_be_named_on_the_command_line(project: Living) -> None:
    seen = {row["n"]: row["parts"] for row in project.read("own")}
    for number, row in enumerate(project.json("status", "own")):
        unit = f"own[{row['partition']}]"
        (version,) = project.json("versions", unit)
        assert version["ref"] == f"{unit}@1"
        if number % 8 == 0:
            (read,) = project.read(unit)
            assert seen[read["n"]] == read["parts"]
            assert project.json("why", unit)["ref"] == f"{unit}@1"
            assert project.json("lineage", f"{unit}@1")["nodes"]
    parts = [seen[1 << number] for number in range(len(NAMES))]
    assert parts == [repr((os.fsdecode(name),)) for name in NAMES.values()]


def test_nothing_lies_outside_the_state_folder(project: Living) -> None:
    root = os.fsencode(project.folder)
    found = {
        os.path.relpath(os.path.join(folder, name), root)  # noqa: PTH118
        for folder, _, names in os.walk(root)
        for name in names
    }
    outside = {
        path for path in found if not path.startswith((b".afresh/", b"landing/", b"__pycache__/"))
    }
    assert outside == {b"afresh.toml", b"pipeline.py", b"up.log"}
    for (uri,) in project.rows("select uri from version"):
        assert os.path.realpath(uri).startswith(str(project.state.resolve()) + "/")
    above = {path.name for path in project.folder.parent.iterdir()}
    assert above == {"project"}


@pytest.mark.parametrize(
    "command",
    [
        ("status", "--partitions"),
        ("status",),
        ("events",),
        ("runs",),
        ("versions", "own"),
        ("sensors",),
        ("lineage", "total"),
        ("lineage", "total", "--as", "dot"),
        ("lineage", "total", "--as", "mermaid"),
        ("why", "total"),
        ("doctor",),
        ("verify",),
    ],
    ids=" ".join,
)
def test_no_terminal_is_broken(project: Living, command: tuple[str, ...]) -> None:
    done = project.run(*command)
    _harmless(done.stdout + done.stderr)
    if "--as" not in command:
        json.loads(project.run(*command, "--json").stdout)


def test_what_the_daemon_says_is_harmless_too(project: Living) -> None:
    _harmless((project.folder / "up.log").read_bytes().decode())


def _harmless(text: str) -> None:
    assert re.findall(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\u202a-\u202e\u2066-\u2069]", text) == []


def test_links_that_lead_outside_are_refused_by_name(project: Living) -> None:
    secret = project.folder.parent / "project-secret.csv"
    secret.write_text("n\n5\n")
    (project.folder / "pairs/a").mkdir()
    (project.folder / "pairs/a/link.csv").symlink_to(secret)
    outside = project.folder.parent / "outside"
    outside.mkdir()
    (outside / "b.csv").write_text("n\n6\n")
    (project.folder / "pairs/tree").symlink_to(outside)
    project.settle()
    states = {row["partition"]: row for row in project.json("status", "pairs")}
    assert all(row["version"] is None for row in states.values()), states
    told = str(project.json("events")) + str(project.json("sensors"))
    assert "pairs/a/link.csv" in told


def test_a_name_that_is_no_text_is_no_column(tmp_path: Path) -> None:
    pipeline = PIPELINE.replace('"landing/{k}.csv"', '"landing/{k}.csv", key_columns=True')
    project = Living.make(tmp_path / "project", pipeline)
    bad = os.path.join(os.fsencode(project.folder), b"landing", b"j\xf6rg.csv")  # noqa: PTH118
    with open(bad, "w") as file:  # noqa: PTH123
        file.write("n\n1\n")
    assert project.until_idle().returncode == 1
    (run,) = project.runs("rows[j%F6rg]")
    assert run["state"] == "rejected"
    assert "column 'k'" in run["error"]
    assert r"j\xf6rg" in run["error"]
