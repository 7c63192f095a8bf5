"""Webhooks of a real daemon: every delivery once, whatever callers and kills do."""

import json
import time
from pathlib import Path

import pytest

from services.ports import free_port
from support.hooks import SECRET, post
from support.living import Living, until
from support.processes import memory_mib
from support.webhook_calls import PIPELINE, call_and_kill

pytestmark = pytest.mark.e2e


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ORDERS_SECRET", SECRET)
    return f"http://127.0.0.1:{free_port()}"


def make(folder: Path, url: str) -> Living:
    address = url.removeprefix("http://")
    return Living.make(folder / "p", PIPELINE, f'http = "{address}"\n')


def test_each_valid_delivery_is_recorded_once_however_often_the_daemon_is_killed(
    tmp_path: Path, url: str
) -> None:
    project = make(tmp_path, url)
    done = call_and_kill(project, url, calls=1200, kills=3, seed=7)
    assert done["kills"] == 3
    assert (done["lost"], done["doubled"], done["never sent"]) == (0, 0, 0), done
    assert (done["rows lost"], done["rows doubled"]) == (0, 0), done
    assert done["wrong answers"] == []
    assert done["statuses"]["forged 401"] == done["forged"] > 0
    assert done["repeated"] > done["valid"] / 5


def test_where_it_listens_is_shown_and_what_is_secret_is_nowhere(tmp_path: Path, url: str) -> None:
    project = make(tmp_path, url)
    with project.running() as daemon:
        assert url in next(x for x in daemon.output().splitlines() if x.startswith("ready"))
        (row,) = project.json("sensors")
        assert (row["kind"], row["state"]) == ("webhook", "watching")
        assert row["note"] == f"{url}/hooks/orders"
        status, _, said = post(url, b'{"a": 1}', key="k")
        assert (status, said) == (202, {"recorded": ["k"]})
        assert post(url, b'{"a": 1}', secret="x" * 5)[0] == 401
        assert post(url, b"", path="/other")[0] == 404
        (event,) = [e for e in project.json("events") if e["source"] == "orders"]
        assert (event["kind"], event["uri"]) == ("arrived", "webhook:/hooks/orders#k")
    for file in project.state.rglob("*"):
        assert not file.is_file() or SECRET.encode() not in file.read_bytes(), file


def test_a_paused_webhook_asks_callers_to_come_again(tmp_path: Path, url: str) -> None:
    project = make(tmp_path, url)
    with project.running():
        project.run("sensors", "pause", "orders")
        status, headers, _ = post(url, b"{}", key="k")
        assert (status, headers["retry-after"]) == (503, "5")
        project.run("sensors", "resume", "orders")
        until(lambda: post(url, b"{}", key="k")[0] == 202)


def test_without_its_secret_a_webhook_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ORDERS_SECRET", raising=False)
    project = Living.make(tmp_path / "p", PIPELINE, 'http = "127.0.0.1:0"\n')
    with project.running():
        (row,) = project.json("sensors")
        assert row["state"] == "failed"
        assert "ORDERS_SECRET" in row["error"]


def test_serving_calls_takes_little_memory(tmp_path: Path, url: str) -> None:
    project = make(tmp_path, url)
    with project.running() as daemon:
        for number in range(50):
            assert post(url, json.dumps(number).encode(), key=str(number))[0] == 202
        time.sleep(0.5)
        assert memory_mib(daemon.pid, "Rss") < 90
