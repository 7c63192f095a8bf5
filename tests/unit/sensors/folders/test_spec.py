from typing import Any

import pytest

import afresh.sensors
from afresh.assets.errors import DefinitionError
from afresh.sensors import files
from afresh.sensors.folders.spec import SETTLE_SECONDS


def test_only_what_is_there_is_exported() -> None:
    with pytest.raises(AttributeError, match="pails"):
        _ = afresh.sensors.pails


def test_files_are_declared() -> None:
    declared = files("landing/{day}.csv", options={"sep": ";"}, key_columns=True).declared()
    assert declared.sensor.kind == "file"
    assert declared.sensor.options == {
        "pattern": "landing/{day}.csv",
        "settle_seconds": SETTLE_SECONDS,
    }
    assert declared.captures == ("day",)
    assert declared.options == {"sep": ";"}
    assert declared.key_columns


@pytest.mark.parametrize(
    "spec",
    [
        files("../x.csv"),
        files("x.csv", key_columns=True),
        files("x.csv", settle=-1),
        files("x.csv", settle=float("nan")),
        files("x.csv", settle="1"),  # type: ignore[arg-type]
        files("x.csv", options={"a": []}),  # type: ignore[dict-item]
        files(3),  # type: ignore[arg-type]
    ],
)
def test_wrong_files_are_refused_when_worked_out(spec: Any) -> None:
    with pytest.raises(DefinitionError):
        spec.declared()
