"""Commands run in this process, over a project whose ledger a test has filled."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from afresh.daemon.cli.root import run
from support.views import MANIFEST, put, story


@dataclass
class Ran:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Commands:
    """Runs commands of a project."""

    def __init__(self, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capfd = capfd

    def __call__(self, *arguments: str) -> Ran:
        self._capfd.readouterr()
        code = run([*arguments, "--project", str(self.folder)])
        out, err = self._capfd.readouterr()
        return Ran(code, out, err)


def project_with_story(folder: Path) -> Path:
    """Make a project that has run: `support.views.story` is its history."""
    state = folder / ".afresh"
    state.mkdir(mode=0o700)
    (folder / "afresh.toml").write_text('definitions = ["pipeline"]\n')
    row = {
        "epoch": 1,
        "digest": "d",
        "manifest": msgspec.msgpack.encode(MANIFEST),
        "loaded_at": 1.0,
    }
    put(story(state), {"definitions": [row]})
    return folder
