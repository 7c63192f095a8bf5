"""What `kafka(...)` takes, and what it refuses when the definitions load."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

import afresh.sensors
from afresh.assets.errors import DefinitionError, SensorError
from afresh.sensors.kafka_topics.security import client_settings, is_loopback
from afresh.sensors.kafka_topics.settings import Settings
from afresh.sensors.kafka_topics.spec import kafka
from afresh.sensors.secret import env, secret_file

HERE = "127.0.0.1:9092"
THERE = "kafka1.example.com:9092"


def options(**given: Any) -> dict[str, Any]:
    return kafka("orders", **{"servers": HERE, **given}).declared().sensor.options


def test_the_constructor_is_offered_by_the_sensors() -> None:
    assert afresh.sensors.kafka is kafka


def test_a_topic_is_a_stream_of_json() -> None:
    declared = kafka("orders", servers=HERE).declared()
    assert declared.stream
    assert declared.captures == ()
    assert declared.format == "json"
    assert declared.options == {}
    assert declared.sensor.kind == "kafka"
    settings = msgspec.convert(declared.sensor.options, Settings)
    assert settings.topic == "orders"
    assert settings.servers == (HERE,)
    assert settings.start == "beginning"
    assert settings.security == {"tls": False}


def test_servers_are_a_list_or_separated_by_commas() -> None:
    assert options(servers="127.0.0.1:1, localhost:2")["servers"] == ["127.0.0.1:1", "localhost:2"]
    assert options(servers=["[::1]:1"])["servers"] == ["[::1]:1"]


def test_starts_are_plain_data() -> None:
    at = datetime(2026, 11, 1, tzinfo=UTC)
    assert options(start=at)["start"] == "2026-11-01T00:00:00+00:00"
    assert options(start="2026-11-01T00:00:00Z")["start"] == "2026-11-01T00:00:00+00:00"
    assert options(start="end")["start"] == "end"
    assert options(start={3: 12})["start"] == {"3": 12}


def test_columns_and_the_registry_are_the_formats_business() -> None:
    declared = kafka(
        "orders",
        servers=HERE,
        format="avro",
        registry="http://127.0.0.1:8081",
        columns=("key", "offset"),
    ).declared()
    assert declared.options == {"columns": "key,offset", "registry": "http://127.0.0.1:8081"}


def test_tombstones_are_the_formats_business() -> None:
    assert kafka("orders", servers=HERE, tombstones="row").declared().options == {
        "tombstones": "row"
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"topic": ""}, "Expected the name of a topic, found ''"),
        ({"topic": "a b"}, "Expected the name of a topic"),
        ({"topic": ".."}, "Expected the name of a topic"),
        ({"topic": None}, "Expected the name of a topic, found None"),
        ({"servers": ""}, "Expected the servers of a cluster|Expected servers as host:port"),
        ({"servers": []}, "Expected the servers of a cluster"),
        ({"servers": "localhost"}, "Expected servers as host:port, found 'localhost'"),
        ({"servers": "me:pass@localhost:1"}, "Expected servers as host:port"),
        ({"tombstones": "rows"}, "Expected tombstones as one of reject, row, found 'rows'"),
        ({"format": "csv"}, "Expected a format of messages .* found 'csv'"),
        ({"format": "avro"}, "Expected a registry for messages in avro, found none"),
        ({"start": "yesterday"}, "Expected a start, found 'yesterday'"),
        ({"start": "2026-11-01T00:00:00"}, "Expected a start"),
        ({"start": {0: -1}}, "Expected offsets by partition, found 0: -1"),
        ({"start": {True: 1}}, "Expected offsets by partition"),
        ({"batch_rows": 0}, "Expected batch_rows of 1 or more, found 0"),
        ({"batch_rows": True}, "Expected batch_rows"),
        ({"batch_bytes": "1M"}, "Expected batch_bytes of 1 or more, found '1M'"),
        ({"batch_seconds": -1}, "Expected batch_seconds from 0 to 3600, found -1"),
        ({"batch_seconds": float("nan")}, "Expected batch_seconds"),
        ({"columns": ("value",)}, "Expected columns of messages .* found 'value'"),
        ({"columns": ("key", "key")}, "Expected each column once"),
        ({"options": {"a": []}}, "Expected plain values as options"),
        ({"servers": THERE}, "Expected TLS to servers beyond this machine, found none"),
        ({"servers": f"{HERE},{THERE}"}, "Expected TLS to servers beyond this machine"),
        ({"security": {"tls": "yes"}}, "Expected tls to be True or False"),
        ({"security": {"user": "me"}}, "Expected settings of security .* found 'user'"),
        ({"security": {"sasl": "GSSAPI"}}, "Expected sasl as one of"),
        ({"security": {"sasl": "PLAIN"}}, "Expected a username for PLAIN, found none"),
        (
            {"security": {"sasl": "PLAIN", "username": "me"}},
            "Expected a password for PLAIN, found none",
        ),
        ({"security": {"tls": False, "ca": "ca.pem"}}, "Expected TLS where 'ca' is given"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, Any], message: str) -> None:
    given = {"servers": HERE, **given}
    with pytest.raises(DefinitionError, match=message) as caught:
        kafka(given.pop("topic", "orders"), **given).declared()
    assert caught.value.error.startswith("Expected ")


def test_a_password_that_is_written_down_is_refused_and_not_shown() -> None:
    security = {"sasl": "PLAIN", "username": "me", "password": "hunter2"}
    with pytest.raises(DefinitionError) as caught:
        options(security=security)
    assert "hunter2" not in str(caught.value)
    assert "env(" in caught.value.hint


def test_plain_text_beyond_this_machine_is_a_choice() -> None:
    assert options(servers=THERE, allow_plaintext=True)["security"] == {"tls": False}
    assert options(servers=THERE, security={"tls": True})["security"] == {"tls": True}
    sasl = {"sasl": "PLAIN", "username": "me", "password": env("KAFKA_PASSWORD")}
    assert options(servers=THERE, security=sasl)["security"]["tls"] is True


@pytest.mark.parametrize(
    ("server", "here"),
    [
        ("localhost:1", True),
        ("127.0.0.1:1", True),
        ("127.8.9.10:1", True),
        ("[::1]:1", True),
        ("127.0.0.1.example.com:1", False),
        ("127.example.com:1", False),
        ("10.0.0.1:1", False),
        ("localhost.example.com:1", False),
    ],
)
def test_loopback_is_known_by_name(server: str, here: bool) -> None:
    assert is_loopback(server) is here


def test_secrets_are_read_by_the_sensor_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    path = tmp_path / "name"
    path.write_text("me\n")
    security = {
        "sasl": "SCRAM-SHA-512",
        "username": secret_file(str(path)),
        "password": env("KAFKA_PASSWORD"),
        "tls": False,
    }
    declared = options(security=security)["security"]
    assert declared["password"] == {"env": "KAFKA_PASSWORD"}
    with pytest.raises(SensorError, match="KAFKA_PASSWORD"):
        client_settings(declared, "/project")
    monkeypatch.setenv("KAFKA_PASSWORD", "hunter2")
    assert client_settings(declared, "/project") == {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "me",
        "sasl_plain_password": "hunter2",
    }


def test_certificates_that_are_not_there_are_told() -> None:
    declared = options(security={"tls": True, "ca": "certs/ca.pem"})["security"]
    with pytest.raises(SensorError, match=r"/project/certs/ca\.pem"):
        client_settings(declared, "/project")
