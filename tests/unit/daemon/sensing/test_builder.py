"""What cannot be built costs one sensor, and says what to install."""

import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

from afresh.assets.errors import AfreshError
from afresh.assets.manifest import Source
from afresh.daemon.sensing.builder import SensorBuilder
from afresh.daemon.sensing.kinds import build_sensor
from afresh.sensors import bucket, kafka, upstream
from afresh.sensors.base import SensorContext

S3 = "s3://lake/{day}.csv"
MISSING: dict[str, tuple[Any, str, str]] = {
    "aiokafka": (kafka("orders", servers="127.0.0.1:9"), "kafka_topics", "afresh[kafka]"),
    "aiokafka of an upstream": (
        upstream("kafka://127.0.0.1:9/v", asset="a"),
        "kafka_topics",
        "afresh[kafka]",
    ),
    "aiobotocore": (bucket(S3, notifications="sqs://q"), "buckets", "afresh[s3]"),
    "s3fs": (bucket(S3), "buckets", "afresh[s3]"),
    "gcsfs": (bucket("gs://lake/{day}.csv"), "buckets", "afresh[gcs]"),
    "adlfs": (bucket("az://lake/{day}.csv"), "buckets", "afresh[azure]"),
}


def hide(monkeypatch: pytest.MonkeyPatch, distribution: str, package: str) -> None:
    """Have nothing of a distribution importable, and what imports it not yet imported."""
    for name in list(sys.modules):
        if name.startswith(f"afresh.sensors.{package}."):
            # Its package names it too, and is to name this one again in the end.
            home, _, child = name.rpartition(".")
            monkeypatch.setattr(sys.modules[home], child, sys.modules[name])
            monkeypatch.delitem(sys.modules, name)
        if name == distribution or name.startswith(f"{distribution}."):
            monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, distribution, None)
    # What was asked for once is not imported again.
    registered = getattr(sys.modules.get("fsspec.registry"), "_registry", {})
    for name, kind in list(registered.items()):
        if kind.__module__.startswith(distribution):
            monkeypatch.delitem(registered, name)


@pytest.mark.parametrize("case", MISSING)
def test_a_client_that_is_not_installed_is_named_with_its_extra(
    case: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spec, package, extra = MISSING[case]
    declared = spec.declared()
    hide(monkeypatch, case.partition(" ")[0], package)
    context = SensorContext(
        source=Source("orders", declared.sensor, declared.captures),
        project=str(tmp_path),
        staging=str(tmp_path),
        cursor="",
        known={},
        now=lambda: 7.0,
        random=Random(1),
        tell=lambda: None,
    )
    with pytest.raises(AfreshError, match=r"^Expected ") as caught:
        build_sensor(context)
    assert f"pip install '{extra}'" in caught.value.hint


class Nothing:
    """A ledger that has recorded nothing."""

    def paths(self, sensor: str) -> dict[str, str]:
        raise AssertionError(sensor)

    def known(self, sensor: str) -> dict[str, str]:
        del sensor
        return {}

    def unmatched(self, sensor: str) -> frozenset[str]:
        raise AssertionError(sensor)

    def cursor(self, sensor: str) -> str:
        del sensor
        return ""


def test_whatever_is_raised_while_one_is_built_costs_it_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def build(_: SensorContext) -> None:
        raise RuntimeError("no such thing\nin a hundred places")

    monkeypatch.setattr("afresh.daemon.sensing.builder.build_sensor", build)
    builder = SensorBuilder(
        watcher=None,  # type: ignore[arg-type]
        recorded=Nothing(),
        project=str(tmp_path),
        staging=str(tmp_path / "state" / "staging"),
        now=lambda: 7.0,
        random=Random(1),
        http=None,
        tell=lambda _: None,
    )
    declared = kafka("orders", servers="127.0.0.1:9").declared()
    sensor = builder.build(Source("orders", declared.sensor))
    assert sensor.health.state == "failed"
    assert sensor.health.error.endswith("found RuntimeError: no such thing")
