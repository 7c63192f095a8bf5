"""One daemon's versions are another's arrivals, one for one, whatever is down or killed."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from services.ports import free_port
from support.hooks import SECRET
from support.living import Living, until

pytestmark = pytest.mark.e2e

MAKER = """
import pandas as pd
from afresh import asset, source
from afresh.sensors import files

flights = source("flights", files("landing/{day}.csv"))


@asset(partitions="flights", tags="public")
def delays(flights: pd.DataFrame) -> pd.DataFrame:
    return flights.assign(late=flights["delay"].astype(int) > 10)
"""
READER = """
import pandas as pd
from afresh import asset, source
from afresh.sensors import env, upstream

delays = source("delays", upstream("{url}", asset="delays", partitions="day"))


@asset
def total(delays: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({{"late": [int(delays["late"].sum())]}})
"""


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERSIONS_SECRET", SECRET)


def make(folder: Path, url: str, outgoing: str, settings: str = "") -> tuple[Living, Living]:
    maker = Living.make(
        folder / "shop", MAKER, f'[[outgoing]]\nselect = "tag:public"\n{outgoing}\n'
    )
    reader = Living.make(folder / "office", READER.format(url=url), settings)
    return maker, reader


def by_file(folder: Path) -> tuple[Living, Living]:
    path = folder / "versions.jsonl"
    return make(folder, f"file://{path}", f'kind = "file"\npath = "{path}"')


def by_webhook(folder: Path) -> tuple[Living, Living]:
    port = free_port()
    outgoing = f'kind = "webhook"\nurl = "http://127.0.0.1:{port}/versions"\n'
    outgoing += 'secret = { env = "VERSIONS_SECRET" }'
    return make(folder, "webhook:/versions", outgoing, f'http = "127.0.0.1:{port}"\n')


@pytest.fixture
def by_kafka(kafka_servers: str) -> Any:
    def way(folder: Path) -> tuple[Living, Living]:
        topic = f"versions-{folder.name}"[:200].replace("[", "-").replace("]", "-")
        outgoing = f'kind = "kafka"\nservers = "{kafka_servers}"\ntopic = "{topic}"'
        return make(folder, f"kafka://{kafka_servers}/{topic}", outgoing)

    return way


def total(reader: Living) -> Any:
    done = reader.run("read", "total", "--as", "json", check=False)
    return json.loads(done.stdout)[0]["late"] if done.returncode == 0 else None


def test_each_version_of_one_is_an_arrival_of_the_other(tmp_path: Path) -> None:
    maker, reader = by_file(tmp_path)
    with maker.running(), reader.running():
        maker.land("k1.csv", "delay\n5\n15\n")
        maker.land("k2.csv", "delay\n20\n")
        until(lambda: total(reader) == 2, "the first two")
        maker.land("k1.csv", "delay\n15\n16\n17\n")
        until(lambda: total(reader) == 4, "k1 anew")
        # Of equal content nothing is told.
        maker.land("k2.csv", "delay\n20\n")
        maker.settle()
        assert maker.rows("SELECT COUNT(*) FROM outgoing") == [(0,)]
        versions = {
            (row["partition"], row["fingerprint"])
            for key in ("k1", "k2")
            for row in maker.json("versions", f"delays[{key}]")
        }
        assert len(versions) == 3
        events = reader.json("events", "--source", "delays")
        assert Counter(event["partition"] for event in events) == {"k1": 2, "k2": 1}
        assert {event["state"] for event in events} <= {"ingested", "superseded"}
        assert events[0]["uri"] in ("afresh/shop/delays[k1]", "afresh/shop/delays[k2]")
        own = reader.json("versions", "delays[k2]")
        assert (own[0]["partition"], own[0]["fingerprint"]) in versions


@pytest.mark.service
def test_over_kafka_nothing_is_lost_or_doubled_either(tmp_path: Path, by_kafka: Any) -> None:
    check_killed(*by_kafka(tmp_path))


def test_who_was_down_gets_all_that_came_meanwhile_once(tmp_path: Path) -> None:
    check_killed(*by_webhook(tmp_path))


def check_killed(maker: Living, reader: Living) -> None:
    with maker.running() as making:
        maker.land("k1.csv", "delay\n11\n")
        maker.settle()
        making.kill()
    with maker.running():
        with reader.running() as reading:
            until(lambda: total(reader) == 1, "what came before")
            reading.kill()
        for number in range(2, 8):
            maker.land(f"k{number}.csv", "delay\n" + "11\n" * number)
        maker.settle()
        with reader.running() as reading:
            until(lambda: total(reader) == sum(range(1, 8)), "what came meanwhile")
            reading.kill()
        with reader.running():
            maker.land("k1.csv", "delay\n11\n11\n")
            until(lambda: total(reader) == sum(range(1, 8)) + 1, "one more")
            events = reader.json("events", "--source", "delays", "--kind", "arrived")
            assert Counter(event["partition"] for event in events) == {
                "k1": 2,
                **{f"k{number}": 1 for number in range(2, 8)},
            }
            assert maker.rows("SELECT COUNT(*) FROM outgoing") == [(0,)]


def test_what_is_not_as_it_was_told_is_no_version(tmp_path: Path) -> None:
    maker, reader = by_file(tmp_path)
    with maker.running():
        maker.land("k1.csv", "delay\n11\n")
        maker.land("k2.csv", "delay\n11\n")
        maker.settle()
        path = tmp_path / "versions.jsonl"
        until(lambda: path.exists() and len(path.read_bytes().splitlines()) == 2)
    first, second = (json.loads(line)["data"] for line in path.read_text().splitlines())
    Path(first["uri"]).chmod(0o644)
    Path(first["uri"]).write_bytes(Path(first["uri"]).read_bytes() + b"x")
    Path(second["uri"]).unlink()
    with path.open("a") as file:
        file.write('{"not": "an event"}\ngarbage\n')
    with reader.running():
        until(lambda: len(reader.json("events", "--source", "delays", "--state", "vanished")) == 1)
        until(lambda: len(reader.json("events", "--source", "delays", "--state", "rejected")) == 1)
        (row,) = reader.json("sensors")
        assert row["state"] == "watching"
        assert "2 events" in row["note"]
        assert total(reader) is None
