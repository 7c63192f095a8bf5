from typing import Any

import pytest

from afresh.assets.errors import DefinitionError, SensorError
from afresh.sensors import env, secret_file, webhook
from afresh.sensors.secret import Secret


def options(**given: Any) -> dict[str, Any]:
    return webhook("/hooks/orders", **given).declared().sensor.options


def test_what_is_declared() -> None:
    declared = webhook("/hooks/orders", secret=env("X"), rate="60/m", tolerance="1m").declared()
    assert declared.stream
    assert declared.format == "json"
    assert declared.sensor.kind == "webhook"
    assert declared.sensor.options == {
        "path": "/hooks/orders",
        "secrets": [{"env": "X"}],
        "signature": "afresh",
        "tolerance_seconds": 60.0,
        "remember_seconds": 259200.0,
        "max_bytes": 1 << 20,
        "rate": 1.0,
        "key_header": "",
        "headers": [],
    }


def test_secrets_are_named() -> None:
    assert options()["secrets"] == [{"env": "HOOKS_ORDERS_SECRET"}]
    assert options(secret=None)["secrets"] == []
    both = [env("NEW"), secret_file("/run/secrets/old")]
    assert options(secret=both)["secrets"] == [{"env": "NEW"}, {"file": "/run/secrets/old"}]


@pytest.mark.parametrize(
    "given",
    [
        {"secret": "hunter2"},
        {"secret": ["hunter2"]},
        {"secret": []},
        {"signature": "md5"},
        {"signature": "stripe", "secret": None},
        {"tolerance": "soon"},
        {"tolerance": "2d"},
        {"remember": -1},
        {"max_bytes": 0},
        {"max_bytes": "1"},
        {"rate": "many"},
        {"key_header": "a b"},
        {"headers": ["Authorization"]},
        {"headers": ["x-afresh-signature"]},
    ],
)
def test_what_is_wrong_is_told_and_no_secret_is(given: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError, match="Expected") as raised:
        options(**given)
    assert raised.value.hint
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("path", ["", "hooks", "/", "/a/", "/a b", "/a?b", "//a", 5])
def test_a_path_is_plain(path: Any) -> None:
    with pytest.raises(DefinitionError, match="Expected a path"):
        webhook(path).declared()


@pytest.mark.parametrize("name", ["", "A=B", 5])
def test_a_variable_has_a_name(name: object) -> None:
    with pytest.raises(DefinitionError, match="environment variable"):
        env(name)


def test_a_secret_is_read_when_it_is_needed(tmp_path: Any) -> None:
    assert env("X").read({"X": "value"}) == b"value"
    with pytest.raises(SensorError, match="X, found none"):
        env("X").read({})
    file = tmp_path / "secret"
    with pytest.raises(SensorError, match="No such file"):
        secret_file(str(file)).read()
    file.write_bytes(b"value\n")
    assert secret_file(str(file)).read() == b"value"
    with pytest.raises(DefinitionError, match="absolute"):
        secret_file("secret")
    assert Secret(env="X") == env("X")
