"""The Kafka sensor and brokers that want TLS, a password or a client's certificate."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import pytest

from afresh.sensors.kafka_topics import client
from afresh.sensors.secret import env, secret_file
from services.certificates import Authority
from services.kafka import Kafka, kafka_running
from support import living
from support.living import Living
from support.topics import TopicJournal, make_topic, produce, reading
from support.watching import until

pytestmark = [pytest.mark.integration, pytest.mark.service]
PASSWORD = "hunter2"  # noqa: S105
OTHER = "wrong-password"
SCRAM = ("SCRAM-SHA-256", "SCRAM-SHA-512")
TOPIC = "secured"


class Secured(NamedTuple):
    """A broker; one listener wants TLS and a password, the other a client's certificate."""

    broker: Kafka
    authority: Authority
    folder: Path
    with_password: str
    mutual: str


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("certificates")
    authority = Authority(folder)
    ports: list[int] = []

    def prepare(broker: Kafka) -> None:
        ports.append(broker.add_listener("SECURE", "SASL_SSL"))
        ports.append(broker.add_listener("MUTUAL", "SSL"))
        login = "org.apache.kafka.common.security"
        settings = {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(authority.store("broker")),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(authority.ca),
            "listener.name.mutual.ssl.client.auth": "required",
            "listener.name.secure.sasl.enabled.mechanisms": ",".join(("PLAIN", *SCRAM)),
            "listener.name.secure.plain.sasl.jaas.config": (
                f'{login}.plain.PlainLoginModule required user_me="{PASSWORD}" user_broker="x";'
            ),
        }
        for mechanism in SCRAM:
            broker.add_user(mechanism, "me", PASSWORD)
            settings[f"listener.name.secure.{mechanism.lower()}.sasl.jaas.config"] = (
                f"{login}.scram.ScramLoginModule required;"
            )
        for name, value in settings.items():
            broker.set(name, value)

    for broker in kafka_running(prepare=prepare):
        anyio.run(make_topic, broker.servers, TOPIC)
        anyio.run(produce, broker.servers, TOPIC, [b"1", b"2"])
        addresses = [f"127.0.0.1:{port}" for port in ports]
        yield Secured(broker, authority, folder, *addresses)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "REQUEST_SECONDS", 3.0)
    monkeypatch.setenv("TEST_KAFKA_PASSWORD", PASSWORD)


def with_password(secured: Secured, **given: Any) -> dict[str, Any]:
    return {
        "tls": True,
        "ca": str(secured.authority.ca),
        "sasl": "PLAIN",
        "username": "me",
        "password": env("TEST_KAFKA_PASSWORD"),
        **given,
    }


@pytest.mark.parametrize("sasl", ["PLAIN", *SCRAM])
async def test_a_topic_behind_tls_and_a_password_is_read(
    secured: Secured, staging: Path, sasl: str
) -> None:
    journal = TopicJournal()
    security = with_password(secured, sasl=sasl)
    async with reading(TOPIC, secured.with_password, staging, journal, security=security):
        await until(lambda: journal.values == [b"1", b"2"])


@pytest.mark.parametrize("key_password", ["", "of the key"])
async def test_a_client_shows_its_certificate(
    secured: Secured, staging: Path, monkeypatch: pytest.MonkeyPatch, key_password: str
) -> None:
    name = "locked" if key_password else "open"
    certificate, key = secured.authority.issue(name, key_password)
    security: dict[str, Any] = {
        "tls": True,
        "ca": str(secured.authority.ca),
        "certificate": str(certificate),
        "key": str(key),
    }
    if key_password:
        monkeypatch.setenv("TEST_KEY_PASSWORD", key_password)
        security["key_password"] = env("TEST_KEY_PASSWORD")
    journal = TopicJournal()
    async with reading(TOPIC, secured.mutual, staging, journal, security=security):
        await until(lambda: journal.values == [b"1", b"2"])


@pytest.mark.parametrize("sasl", ["PLAIN", *SCRAM])
async def test_a_wrong_password_is_told_without_it_and_read_again_when_it_is_mended(
    secured: Secured, staging: Path, tmp_path: Path, sasl: str
) -> None:
    secret = tmp_path / "password"
    secret.write_text(f"{OTHER}\n")
    security = with_password(secured, sasl=sasl, password=secret_file(str(secret)))
    journal = TopicJournal()
    async with reading(
        TOPIC, secured.with_password, staging, journal, well=False, security=security
    ) as sensor:
        await until(lambda: "uthentication failed" in sensor.health.error)
        told = sensor.health
        assert told.state == "failed"
        assert f"Expected Kafka at {secured.with_password}" in told.error
        assert told.hint == f"mend username, or what is in the file '{secret}'"
        assert OTHER not in str(told)
        assert journal.batches == []
        secret.write_text(f"{PASSWORD}\n")
        await until(lambda: journal.values == [b"1", b"2"])
        assert sensor.health.error == ""


async def test_an_authority_that_is_not_the_brokers_is_told_and_mended(
    secured: Secured, staging: Path, tmp_path: Path
) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_bytes(Authority(tmp_path / "other", "other").ca.read_bytes())
    security = with_password(secured, ca=str(ca))
    journal = TopicJournal()
    async with reading(
        TOPIC, secured.with_password, staging, journal, well=False, security=security
    ) as sensor:
        await until(lambda: "certificate verify failed" in sensor.health.error)
        told = sensor.health
        assert told.state == "failed"
        assert secured.with_password in told.error
        assert told.hint == f"mend ca, which is {ca}: it must have signed the broker's certificate"
        ca.write_bytes(secured.authority.ca.read_bytes())
        await until(lambda: journal.values == [b"1", b"2"])
    await anyio.sleep(0.1)  # a handshake that was cut off closes its socket in the next turns


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ("none", "certificate"),
        ("of others", "certificate"),
        ("no tls", "tls"),
        ("no sasl", "sasl"),
    ],
)
async def test_who_does_not_talk_as_the_broker_wants_is_told_what_to_look_at(
    secured: Secured, staging: Path, tmp_path: Path, wrong: str, hint: str
) -> None:
    address = secured.mutual
    security: dict[str, Any] = {"tls": True, "ca": str(secured.authority.ca)}
    match wrong:
        case "of others":
            certificate, key = Authority(tmp_path / "other", "other").issue("me")
            security |= {"certificate": str(certificate), "key": str(key)}
        case "no tls":
            security = {"tls": False}
        case "no sasl":
            address = secured.with_password
    journal = TopicJournal()
    async with reading(TOPIC, address, staging, journal, well=False, security=security) as sensor:
        await until(lambda: sensor.health.state == "failed")
        assert address in sensor.health.error
        assert hint in sensor.health.hint
        assert journal.batches == []
    await anyio.sleep(0.1)


async def test_a_password_that_is_not_there_is_named(
    secured: Secured, staging: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TEST_KAFKA_PASSWORD")
    journal = TopicJournal()
    async with reading(
        TOPIC,
        secured.with_password,
        staging,
        journal,
        well=False,
        security=with_password(secured),
    ) as sensor:
        await until(lambda: sensor.health.state == "failed")
        assert "TEST_KAFKA_PASSWORD" in sensor.health.error
        monkeypatch.setenv("TEST_KAFKA_PASSWORD", PASSWORD)
        await until(lambda: journal.values == [b"1", b"2"])


PIPELINE = """
from afresh import source
from afresh.sensors import kafka, secret_file

source("orders", kafka("{topic}", servers="{servers}", security={{
    "tls": True, "ca": "ca.pem", "sasl": "SCRAM-SHA-512", "username": "me",
    "password": secret_file("{secret}"),
}}))
"""


def test_a_daemon_says_who_is_not_let_in_and_keeps_the_password_to_itself(
    secured: Secured, tmp_path: Path
) -> None:
    topic, secret = "guarded", tmp_path / "password"
    anyio.run(make_topic, secured.broker.servers, topic)
    anyio.run(produce, secured.broker.servers, topic, [b'{"id": 1}'])
    secret.write_text(OTHER)
    servers = secured.with_password
    project = Living.make(
        tmp_path / "p", PIPELINE.format(topic=topic, servers=servers, secret=secret)
    )
    (project.folder / "ca.pem").write_bytes(secured.authority.ca.read_bytes())
    with project.running():
        living.until(lambda: project.json("sensors")[0]["state"] == "failed")
        (sensor,) = project.json("sensors")
        assert f"Expected Kafka at {servers}" in sensor["error"]
        assert "uthentication failed" in sensor["error"]
        assert str(secret) in sensor["hint"]
        assert str(secret) in project.run("sensors").stdout.replace("\n", "")
        secret.write_text(PASSWORD)
        living.until(lambda: project.json("sensors")[0]["state"] == "watching")
        project.settle()
        assert project.read("orders") == [{"id": 1}]
    files = [path for path in project.folder.rglob("*") if path.is_file()]
    assert any("ledger" in path.name for path in files)
    for word in (OTHER, PASSWORD):
        assert not [path for path in files if word.encode() in path.read_bytes()]
