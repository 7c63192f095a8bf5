import json
from typing import Any

import click
import pytest

from afresh.assets.errors import DefinitionError, UsageError
from afresh.daemon.cli import root


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def main(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(root.root, "main", main)


GROUP = ExceptionGroup("g", [ExceptionGroup("g", [DefinitionError("e", hint="h", where="p.py:1")])])


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UsageError("e", hint="h", where="p.py:1"), 2, "e"),
        (GROUP, 2, "e"),
        (PermissionError(13, "Permission denied", "/x"), 2, "Permission denied: /x"),
        (ZeroDivisionError("0"), 2, "ZeroDivisionError"),
        (ExceptionGroup("g", [DefinitionError("e"), KeyError("k")]), 2, "ExceptionGroup"),
        (click.UsageError("u"), 2, "u"),
    ],
)
def test_what_goes_wrong_is_one_object(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    said: str,
) -> None:
    raising(monkeypatch, error)
    assert root.run(["status", "--json"]) == code
    assert said in json.loads(capsys.readouterr().err)["error"]


def test_a_fault_shows_its_traceback_to_people(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(monkeypatch, ZeroDivisionError("0"))
    assert root.run(["status"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    raising(monkeypatch, KeyboardInterrupt())
    assert root.run(["wait"]) == 130


def test_every_command_is_listed_and_can_be_imported() -> None:
    ctx = click.Context(root.root)
    for name in root.COMMANDS:
        found = root.root.get_command(ctx, name)
        assert found is not None
        assert found.name == name
        options = {option for param in found.params for option in param.opts}
        assert {"--json", "--project"} <= options


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run([]) == 2
    assert "materialize" in capsys.readouterr().err
    assert root.run(["--help"]) == 0
    assert "materialize" in capsys.readouterr().out
