"""What tests of workers share."""

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from afresh.assets.manifest import Manifest
from afresh.daemon.workers.definitions import load
from afresh.daemon.workers.live import Loaded
from support.defining import HEAD, Load
from support.executing import World


@pytest.fixture
def loaded(tmp_path: Path) -> Load:
    """Write modules into a folder and load them: `name="code"` with the usual imports before it."""
    count = 0

    def run(
        pipeline: str | None = None,
        *,
        parameters: Mapping[str, Any] | None = None,
        last_good: Manifest | None = None,
        toml: str = "",
        **modules: str,
    ) -> Loaded:
        nonlocal count
        count += 1
        root = tmp_path / str(count)
        root.mkdir()
        if pipeline is not None:
            (root / "pipeline.py").write_text(HEAD + textwrap.dedent(pipeline))
        for name, text in modules.items():
            (root / f"{name}.py").write_text(textwrap.dedent(text))
        (root / "afresh.toml").write_text(toml)
        listed = [name for name in ("pipeline", *modules) if name != "helper"]
        if pipeline is None:
            listed.remove("pipeline")
        return load(str(root), listed, parameters or {}, "d", last_good=last_good)

    return run


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)
