"""A schema that changes: what is stored is held against it, and what fails is named, not lost."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from services.ports import free_port
from support.living import Living, until

if TYPE_CHECKING:
    from support.project import Daemon

pytestmark = pytest.mark.e2e

PIPELINE = """
import time
import pandas as pd
import pandera.pandas as pa
from pandera.typing import DataFrame
from afresh import asset, source
from afresh.sensors import files

PAUSE = 0

class Order(pa.DataFrameModel):
    amount: int = pa.Field(ge=0)

class Total(pa.DataFrameModel):
    total: int

orders = source("orders", files("landing/{day}.csv"), schema=Order, owner="orders@example.com")

@asset
def totals(orders: DataFrame[Order]) -> DataFrame[Total]:
    return pd.DataFrame({"total": [int(orders["amount"].sum())]})
"""
OWNER = "orders@example.com"
LOOSE, TIGHT = "amount: int = pa.Field(ge=0)", "amount: int = pa.Field(ge=0, le=10)"
SLOW = """amount: int = pa.Field(ge=0, le=10)

    @pa.check("amount")
    def slow(cls, amounts):
        time.sleep(0.2)
        return amounts < 1000
"""
NOTIFY = """
[[alerts]]
kind = "command"
command = ["sh", "-c", "cat >> '{file}'; echo >> '{file}'"]
"""


class Edited(Living):
    """A project whose definitions a test edits."""

    def redefine(self, old: str, new: str) -> None:
        """Change the definitions, and wait until they are in force."""
        ((before,),) = self.rows("select count(*) from definitions")
        self.edit("pipeline.py", old, new)
        self.wait_for("select count(*) > ? from definitions", before)
        assert self.settle()["settled"]

    def runs_so_far(self) -> int:
        """Give how many runs there were, ingests too."""
        return len(self.json("runs"))

    def marks(self, asset: str) -> dict[str, str]:
        """Give the state of each version of an asset."""
        return {row["ref"]: row["state"] for row in self.json("versions", asset)}

    def reasons(self, ref: str) -> list[str]:
        """Say why a fresh unit is left behind."""
        row = self.status(ref)
        assert row["state"] == "fresh"
        return [str(reason) for reason in row["reasons"]]

    def alerts(self) -> list[tuple[str, str, str]]:
        """Give what was told so far."""
        path = self.folder / "alerts.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        rows = [json.loads(line) for line in lines if line]
        return [(row["subject"], row["state"], row["owner"]) for row in rows]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Edited]:
    folder = tmp_path / "project"
    notify = NOTIFY.replace("{file}", str(folder / "alerts.jsonl"))
    made = Edited.make(folder, PIPELINE, notify)
    made.land("mon.csv", "amount\n1\n2\n")
    made.land("tue.csv", "amount\n3\n99\n")
    with made.running():
        assert made.settle() == {"settled": True, "failed": [], "blocked": []}
        yield made


def test_what_fails_a_tightened_schema_is_suspect_until_it_is_mended(project: Edited) -> None:
    runs = project.runs_so_far()
    project.redefine(LOOSE, TIGHT)
    assert project.reasons("orders[mon]") == []
    assert project.reasons("orders[tue]") == ["suspect"]
    assert project.marks("orders") == {"orders[mon]@1": "head", "orders[tue]@1": "suspect"}
    assert project.read("orders[tue]") == [{"amount": 3}, {"amount": 99}], "it stays readable"
    assert project.runs_so_far() == runs, "nothing was rebuilt or read again"
    because = project.json("why", "orders[tue]")["because"]
    (mark,) = [entry for entry in because if entry["kind"] == "suspect"]
    assert mark["ref"] == "orders[tue]@1"
    assert "Order" in mark["detail"]
    assert "99" in mark["detail"]
    (event,) = project.rows("select seq, kind from event where seq = ?", mark["event"])
    assert event == (mark["event"], "code")
    assert any(entry["kind"] == "case" and "99" in entry["detail"] for entry in because)
    assert project.json("why", "orders[tue]@1")["ref"] == "orders[tue]@1"
    assert until(project.alerts) == [("schema of orders", "failed", OWNER)]

    project.land("tue.csv", "amount\n3\n9\n")
    project.wait_for("select count(*) = 1 from version where asset = 'orders' and version = 2")
    assert project.settle() == {"settled": True, "failed": [], "blocked": []}
    assert project.reasons("orders[tue]") == []
    assert project.marks("orders")["orders[tue]@1"] == "suspect"
    assert project.marks("orders")["orders[tue]@2"] == "head"
    assert project.json("why", "orders[tue]@1")["state"] == "suspect"
    until(lambda: ("schema of orders", "recovered", OWNER) in project.alerts(), "all is well")
    assert project.read("totals") == [{"total": 15}]


def test_a_schema_that_is_loosened_again_clears_it_and_costs_nothing_else(project: Edited) -> None:
    project.redefine(LOOSE, "amount: int = pa.Field(ge=-5)")
    assert project.rows("select * from validation") == [], "proven looser: nothing"
    project.redefine("ge=-5", "ge=0, le=10")
    assert project.reasons("orders[tue]") == ["suspect"]
    project.redefine("le=10", "le=1000")
    assert project.reasons("orders[tue]") == []
    assert project.marks("orders") == {"orders[mon]@1": "head", "orders[tue]@1": "head"}
    project.redefine(", le=1000", "")
    assert project.rows("select * from revalidation") == []


def test_assets_and_checks_of_ones_own_count(project: Edited) -> None:
    runs = project.runs_so_far()
    check = """total: int

    @pa.check("total")
    def even(cls, totals):
        return totals % 2 == 0
"""
    project.redefine("    total: int\n", f"    {check}")
    assert project.reasons("totals") == ["suspect"]
    project.redefine("% 2 == 0", "% 2 == 1")
    assert project.reasons("totals") == [], "its code has changed: it was looked at again"
    assert project.runs_so_far() == runs
    project.redefine("% 2 == 1", "% 2 == 0")
    assert project.reasons("totals") == ["suspect"]
    project.redefine("-> DataFrame[Total]", "-> pd.DataFrame")
    assert project.reasons("totals") == [], "no schema, nothing suspect"


def test_a_rejected_arrival_is_tried_again_when_the_checks_change(project: Edited) -> None:
    project.land("wed.csv", "amount\n-1\n")
    project.until_state("orders[wed]", "failed")
    project.redefine(LOOSE, "amount: int = pa.Field(ge=-1)")
    project.until_state("orders[wed]", "fresh")
    assert project.read("orders[wed]") == [{"amount": -1}]
    read = project.rows("select partition from event where source = 'orders' and kind = 'code'")
    assert read == [("wed",)], "no other file was read again"


def test_another_type_reads_the_files_again(project: Edited) -> None:
    project.redefine("amount: int", "amount: float")
    project.settle()
    states = {row["state"] for row in project.json("runs", "orders")}
    assert states == {"succeeded"}
    assert project.versions("orders[mon]") == [2, 1]


def _validated(project: Edited) -> int:
    ((count,),) = project.rows("select count(*) from validation")
    return int(count)


def test_a_daemon_killed_in_the_middle_goes_on(tmp_path: Path) -> None:
    project = Edited.make(tmp_path / "project", PIPELINE, "workers = 1\n")
    for number in range(30):
        project.land(f"d{number:02}.csv", f"amount\n{number}\n")
    daemon: Daemon = project.start()
    try:
        assert project.settle()["failed"] == []
        path = project.folder / "pipeline.py"
        path.write_text(path.read_text().replace(LOOSE, SLOW))
        for _ in range(2):
            before = project.rows("select count(*) from revalidation") and _validated(project)
            project.wait_for("select count(*) > ? from validation", before)
            daemon.kill()
            assert project.rows("select count(*) from revalidation") == [(1,)]
            daemon = project.start()
        # What arrives meanwhile is not kept waiting until all is validated.
        left = _validated(project)
        assert left < 30
        project.land("new.csv", "amount\n5\n")
        project.wait_for("select count(*) = 1 from version where partition = 'new'", timeout=60)
        assert project.rows("select count(*) from revalidation") == [(1,)]
        project.wait_for("select count(*) = 0 from revalidation", timeout=120)
        rows: list[tuple[Any, ...]] = project.rows("select partition, state from validation")
        wanted = {f"d{n:02}": "suspect" if n > 10 else "ok" for n in range(30)}
        assert dict(rows) == wanted
        assert len(rows) == 30
        assert daemon.stop() == 0
    finally:
        daemon.kill()


def test_all_there_is_to_do_includes_it(tmp_path: Path) -> None:
    project = Edited.make(tmp_path / "project", PIPELINE)
    project.land("mon.csv", "amount\n50\n")
    project.run("up", "--until-idle")
    path = project.folder / "pipeline.py"
    path.write_text(path.read_text().replace(LOOSE, TIGHT))
    project.run("up", "--until-idle")
    assert project.reasons("orders[mon]") == ["suspect"], "without a daemon too"
    assert project.marks("orders") == {"orders[mon]@1": "suspect"}


STREAM = """
import pandas as pd
import pandera.pandas as pa
from pandera.typing import DataFrame
from afresh import asset, source
from afresh.sensors import webhook

class Order(pa.DataFrameModel):
    amount: int = pa.Field(ge=0)

orders = source("orders", webhook("/hooks/orders"), schema=Order)

@asset(new="orders")
def large(orders: DataFrame[Order]) -> DataFrame[Order]:
    return orders[orders["amount"] > 5].reset_index(drop=True)
"""


def test_rows_of_a_stream_are_looked_at_where_they_lie(tmp_path: Path) -> None:
    settings = f'http = "127.0.0.1:{free_port()}"\n'
    project = Edited.make(tmp_path / "project", STREAM, settings)
    with project.running():
        for amounts in ([1, 2], [99], [3, 8]):
            lines = "\n".join(json.dumps({"amount": amount}) for amount in amounts)
            project.run("emit", "orders", "--lines", "--data", lines)
            project.settle()
        runs = project.runs_so_far()
        project.redefine(LOOSE, TIGHT)
        assert project.marks("orders") == {
            "orders@3": "suspect", "orders@2": "suspect", "orders@1": "kept",
        }  # fmt: skip
        assert project.reasons("orders") == ["suspect"]
        assert project.reasons("large") == ["suspect"], "it promises the same"
        assert "99" in project.why("orders")
        assert [row["amount"] for row in project.read("orders")] == [1, 2, 99, 3, 8]
        project.run("emit", "orders", "--data", '{"amount": 4}')
        project.settle()
        assert project.reasons("orders") == ["suspect"], "the rows are in what comes later, too"
        assert project.runs_so_far() == runs + 2, "one for what came, one for its reader"
        project.redefine("le=10", "le=100")
        assert project.reasons("orders") == project.reasons("large") == []
        assert set(project.marks("orders").values()) == {"head", "kept"}
