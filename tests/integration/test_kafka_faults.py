"""The Kafka sensor on a network that is slow, cut, stalled or gone, and with TLS and SASL."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from afresh.sensors.kafka_topics import client
from afresh.sensors.secret import env
from services.fault_proxy import FaultProxy
from services.kafka import Kafka, kafka_running
from support.topics import TopicJournal, make_topic, produce, reading
from support.watching import until

pytestmark = [pytest.mark.integration, pytest.mark.service]
PASSWORD = "hunter2"  # noqa: S105


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    return tmp_path / "staging" / "things"


@pytest.fixture(scope="module")
def proxied() -> Iterator[tuple[Kafka, FaultProxy]]:
    """A broker that sends those who come through the proxy back to it; tests write past it."""
    proxies: list[FaultProxy] = []

    def prepare(broker: Kafka) -> None:
        port = broker.add_listener("PROXIED", "PLAINTEXT")
        proxies.append(FaultProxy(("127.0.0.1", port)))
        broker.advertise("PROXIED", proxies[0].address)

    for broker in kafka_running(prepare=prepare):
        with proxies[0]:
            yield broker, proxies[0]


@pytest.mark.parametrize("fault", ["down", "stalled", "cut", "slow"])
async def test_a_network_that_fails_costs_nothing(
    proxied: tuple[Kafka, FaultProxy],
    staging: Path,
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "REQUEST_SECONDS", 1.0)
    broker, proxy = proxied
    topic = f"network_{fault}"
    journal = TopicJournal()
    await make_topic(broker.servers, topic, 3)
    async with reading(topic, proxy.address, staging, journal, batch_rows=500) as sensor:
        values = [b"%d " % number + b"x" * 500 for number in range(6000)]
        await produce(broker.servers, topic, values[:300], partitions=3)
        await until(lambda: len(journal.records) == 300)
        match fault:
            case "down":
                proxy.take_down()
            case "stalled":
                proxy.stalled = True
            case "cut":
                proxy.cut_after = 400_000
            case "slow":
                proxy.latency_seconds = 0.1
        await produce(broker.servers, topic, values[300:], partitions=3)
        if fault in ("down", "stalled"):
            await until(lambda: sensor.health.state == "failed", 15)
            await anyio.sleep(1)
            assert len(journal.records) < 6000
            proxy.bring_up()
        await until(lambda: len(journal.records) == 6000, 40)
        proxy.bring_up()
        await until(lambda: sensor.health.state == "watching", 15)
    assert sorted(journal.places) == sorted((p, o) for p in range(3) for o in range(2000))
    assert journal.gaps == []


# TLS and SASL


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of this machine, as Kafka and as clients want it."""
    folder = tmp_path_factory.mktemp("certificates")
    subprocess.run(
        [
            *("keytool", "-genkeypair", "-alias", "broker", "-keyalg", "RSA", "-validity", "2"),
            *("-dname", "CN=localhost", "-ext", "san=ip:127.0.0.1,dns:localhost"),
            *("-ext", "bc:c", "-storetype", "PKCS12", "-keystore", "broker.p12"),
            *("-storepass", PASSWORD),
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    subprocess.run(
        [
            *("keytool", "-exportcert", "-rfc", "-alias", "broker", "-keystore", "broker.p12"),
            *("-storepass", PASSWORD, "-file", "ca.pem"),
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture(scope="module")
def secured(certificates: Path) -> Iterator[tuple[Kafka, str]]:
    """A broker with a listener that wants TLS and a password."""
    ports: list[int] = []

    def prepare(broker: Kafka) -> None:
        ports.append(broker.add_listener("SECURE", "SASL_SSL"))
        login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
        settings = {
            "ssl.keystore.location": str(certificates / "broker.p12"),
            "ssl.keystore.password": PASSWORD,
            "ssl.keystore.type": "PKCS12",
            "listener.name.secure.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.secure.plain.sasl.jaas.config": (
                f'{login} user_me="{PASSWORD}" user_broker="x";'
            ),
        }
        for name, value in settings.items():
            broker.set(name, value)

    for broker in kafka_running(prepare=prepare):
        yield broker, f"127.0.0.1:{ports[0]}"


def security(certificates: Path, **given: Any) -> dict[str, Any]:
    return {
        "tls": True,
        "ca": str(certificates / "ca.pem"),
        "sasl": "PLAIN",
        "username": "me",
        "password": env("TEST_KAFKA_PASSWORD"),
        **given,
    }


async def test_a_topic_behind_tls_and_a_password_is_read(
    secured: tuple[Kafka, str],
    certificates: Path,
    staging: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TEST_KAFKA_PASSWORD", PASSWORD)
    broker, address = secured
    journal = TopicJournal()
    await make_topic(broker.servers, "secured")
    await produce(broker.servers, "secured", [b"1", b"2"])
    async with reading("secured", address, staging, journal, security=security(certificates)):
        await until(lambda: journal.values == [b"1", b"2"])


@pytest.mark.parametrize("wrong", ["password", "ca", "tls"])
async def test_who_is_not_let_in_says_why_and_shows_no_password(
    secured: tuple[Kafka, str],
    certificates: Path,
    staging: Path,
    monkeypatch: pytest.MonkeyPatch,
    wrong: str,
) -> None:
    monkeypatch.setattr(client, "REQUEST_SECONDS", 2.0)
    secret = "wrong-password" if wrong == "password" else PASSWORD
    monkeypatch.setenv("TEST_KAFKA_PASSWORD", secret)
    settings = security(certificates)
    if wrong == "ca":
        settings.pop("ca")
    if wrong == "tls":
        settings = {"tls": False}
    _, address = secured
    journal = TopicJournal()
    async with reading(
        "secured", address, staging, journal, well=False, security=settings
    ) as sensor:
        await until(lambda: sensor.health.state == "failed", 15)
        told = str(sensor.health)
    await anyio.sleep(0.1)  # a handshake that was cut off closes its socket in the next turns
    assert address in told
    expected = {"password": "Authentication failed", "ca": "certificate verify failed", "tls": ""}
    assert expected[wrong] in told
    assert secret not in told
    assert journal.batches == []
