"""A bucket as a source, and artifacts in a bucket, with the installed daemon and a server of S3."""

import json
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from services.fault_proxy import FaultProxy
from services.stores import ObjectStore
from support.living import until
from support.project import Project

pytestmark = [pytest.mark.e2e, pytest.mark.service]

PIPELINE = """
import pandas as pd
import pandera.pandas as pa
from pandera.typing import DataFrame
from afresh import asset, source
from afresh.sensors import bucket


class Day(pa.DataFrameModel):
    amount: int


sales = source("sales", bucket({url!r}, {options}), schema=Day, {source})


@asset(partitions="sales")
def doubled(sales: DataFrame[Day]) -> DataFrame[Day]:
    return sales.assign(amount=sales["amount"] * 2)


@asset
def total(doubled: DataFrame[Day]) -> DataFrame[Day]:
    return pd.DataFrame({{"amount": [doubled["amount"].sum()]}})
"""


class Lake:
    """A bucket that a project reads, and another for its artifacts."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store
        self.files = store.files()
        self.lake = store.new_bucket()
        self.artifacts = store.new_bucket()

    def put(self, day: str, *amounts: int) -> None:
        text = "".join(f"{amount}\n" for amount in ("amount", *amounts))
        self.files.pipe_file(f"{self.lake}/sales/{day}.csv", text.encode())

    def delete(self, day: str) -> None:
        self.files.rm_file(f"{self.lake}/sales/{day}.csv")

    def project(
        self, folder: Path, options: str = "interval=0.5", source: str = "", endpoint: str = ""
    ) -> Project:
        endpoint = endpoint or self.store.endpoint
        options = f'storage_options={{"endpoint_url": {endpoint!r}}}, {options}'
        url = f"s3://{self.lake}/sales/{{day}}.csv"
        pipeline = PIPELINE.format(url=url, options=options, source=source)
        settings = f'artifacts = "s3://{self.artifacts}/made"\n'
        return Project.make(folder, pipeline, settings)


@pytest.fixture
def lake(moto: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Lake:
    for name, value in moto.environment.items():
        monkeypatch.setenv(name, value)
    return Lake(moto)


@pytest.fixture
def proxy(moto: ObjectStore) -> Iterator[FaultProxy]:
    with FaultProxy(("127.0.0.1", moto.port)) as proxy:
        yield proxy


HEAD = """select v.uri from version v join unit u
    on u.asset = v.asset and u.partition = v.partition and u.version = v.version
    where v.asset = 'total'"""


def total(lake: Lake, project: Project) -> int | None:
    """Read what `afresh read total` would give, without starting a command."""
    rows = project.rows(HEAD)
    if not rows:
        return None
    table = pq.read_table(BytesIO(lake.files.cat_file(rows[0][0])))
    amount: int = table["amount"][0].as_py()
    return amount


def wait_for_total(lake: Lake, project: Project, expected: int, seconds: float = 30) -> None:
    """Wait until the newest total is this."""
    until(lambda: total(lake, project) == expected, f"{expected}", seconds=seconds)


def test_objects_become_versions_in_a_bucket(lake: Lake, tmp_path: Path) -> None:
    project = lake.project(tmp_path / "project")
    lake.put("d1", 1, 2)
    with project.running():
        wait_for_total(lake, project, 6)
        assert project.json("read", "total") == [{"amount": 6}]
        lake.put("d2", 10)
        lake.put("d3", 100)
        wait_for_total(lake, project, 226)
        lake.put("d2", 20)
        wait_for_total(lake, project, 246)
        assert project.json("sensors")[0]["state"] == "watching"
        lake.delete("d3")
        project.wait_for("select count(*) from event where kind = 'deleted' and state = 'ingested'")
    uris = [row[0] for row in project.rows("select uri from version")]
    assert len(uris) >= 8
    assert all(uri.startswith(f"s3://{lake.artifacts}/made/") for uri in uris)
    there = {f"s3://{path}" for path in lake.files.find(lake.artifacts)}
    assert there == set(uris)
    assert all(row["state"] == "ok" for row in project.json("verify"))
    text = (project.state / "ledger.sqlite").read_bytes()
    assert b"testing-secret" not in text
    assert b"testing-secret" not in (project.folder / "up.log").read_bytes()


def test_a_restart_repeats_nothing(lake: Lake, tmp_path: Path) -> None:
    project = lake.project(tmp_path / "project")
    for day in range(5):
        lake.put(f"d{day}", day)
    project.run("up", "--until-idle")
    events = project.rows("select count(*) from event where kind = 'arrived'")
    versions = project.rows("select count(*) from version")
    assert events == [(5,)]
    project.run("up", "--until-idle")
    assert project.rows("select count(*) from event where kind = 'arrived'") == events
    assert project.rows("select count(*) from version") == versions
    lake.put("d1", 50)
    project.run("up", "--until-idle")
    assert total(lake, project) == 2 * (0 + 50 + 2 + 3 + 4)


def test_references_copy_nothing_and_notice_changes(lake: Lake, tmp_path: Path) -> None:
    project = lake.project(tmp_path / "project", source='keep="reference"')
    lake.put("d1", 1, 2)
    project.run("up", "--until-idle")
    assert total(lake, project) == 6
    (uri,) = project.rows("select uri from version where asset = 'sales'")[0]
    assert uri == f"s3://{lake.lake}/sales/d1.csv#reference"
    assert not lake.files.exists(f"{lake.artifacts}/made/sales")
    assert all(row["state"] == "ok" for row in project.json("verify"))
    assert json.loads(project.run("read", "sales[d1]", "--json").stdout) == [
        {"amount": 1},
        {"amount": 2},
    ]
    lake.put("d1", 1, 3)  # and no daemon that would have seen it
    failed = project.run("read", "sales[d1]", check=False)
    assert failed.returncode != 0
    assert "Expected the original" in failed.stderr
    assert f"{lake.lake}/sales/d1.csv" in failed.stderr
    verified = json.loads(project.run("verify", "--json", check=False).stdout)
    assert [row["state"] for row in verified if row["check"] == "artifact"] == ["failed"]
    project.run("up", "--until-idle")  # now it is the second version, and only the first is lost
    assert total(lake, project) == 8
    lost = [row for row in project.json("verify") if row["check"] == "artifact"]
    assert [row["detail"].partition(":")[0] for row in lost] == ["sales[d1]@1"]
    assert [row["state"] for row in lost] == ["warning"]


def test_the_store_is_gone_for_a_while(lake: Lake, proxy: FaultProxy, tmp_path: Path) -> None:
    project = lake.project(tmp_path / "project", endpoint=f"http://{proxy.address}")
    for day in range(5):
        lake.put(f"d{day}", 1)
    with project.running():
        wait_for_total(lake, project, 10)
        proxy.take_down()
        lake.put("d5", 10)
        lake.put("d0", 5)
        until_failed(project)
        proxy.bring_up()
        wait_for_total(lake, project, 2 * (4 * 1 + 5 + 10))
        assert project.json("sensors")[0]["state"] == "watching"
    arrived = project.rows("select uri, count(*) from event where kind = 'arrived' group by uri")
    assert sorted(count for _, count in arrived) == [1, 1, 1, 1, 1, 2]


def until_failed(project: Project, seconds: float = 30) -> None:
    until(lambda: project.json("sensors")[0]["state"] == "failed", "failed", seconds=seconds)


def test_artifacts_wait_for_their_store(
    lake: Lake, proxy: FaultProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{proxy.address}")
    project = lake.project(tmp_path / "project")  # the source itself is reached
    lake.put("d1", 1)
    with project.running():
        wait_for_total(lake, project, 2)
        proxy.answer = 503
        lake.put("d2", 10)
        failed = "select count(*) from run where state = 'failed' and error like '%\"storage\"%'"
        project.wait_for(failed)
        proxy.bring_up()
        wait_for_total(lake, project, 22, seconds=60)
    assert project.rows("select count(*) from failure") == [(0,)]
    assert_no_orphans(lake, project)


def test_killed_it_leaves_nothing_in_the_bucket(lake: Lake, tmp_path: Path) -> None:
    project = lake.project(tmp_path / "project")
    for round_ in range(3):
        for day in range(5):
            lake.put(f"d{day}", 100 * round_ + day)
        daemon = project.start()
        time.sleep(0.3 + 0.5 * round_)
        daemon.kill()
    project.run("up", "--until-idle")
    assert total(lake, project) == 2 * sum(200 + day for day in range(5))
    assert_no_orphans(lake, project)


def assert_no_orphans(lake: Lake, project: Project) -> None:
    """Assert that every object is a version's, and every version has its object."""
    there = {f"s3://{path}" for path in lake.files.find(lake.artifacts)}
    assert there == {row[0] for row in project.rows("select uri from version")}
