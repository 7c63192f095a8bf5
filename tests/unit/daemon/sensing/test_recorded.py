from pathlib import Path

import pytest

from afresh.daemon.sensing import recorded
from afresh.daemon.sensing.recorded import KnownPaths
from afresh.storage.ledger.reader import Reader
from support.views import filled


def known(folder: Path, count: int) -> KnownPaths:
    rows = [
        {"sensor": sensor, "uri": f"u{number:03}", "identity": f"{sensor}{number}", "seq": 1}
        for sensor in ("a", "b")
        for number in range(count)
    ]
    return KnownPaths(Reader(filled(folder, {"path": rows})), "a")


def test_one_is_looked_up_and_all_are_walked_through_by_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded, "PAGE", 3)
    paths = known(tmp_path, 7)
    assert len(paths) == 7
    assert paths["u004"] == "a4"
    assert paths.get("nonesuch") is None
    everything = {f"u{number:03}": f"a{number}" for number in range(7)}
    assert dict(paths) == everything
    assert dict(paths.items()) == everything
    assert list(paths.values()) == list(everything.values())
    for first in paths:
        assert paths[first] == "a0"
        break
    assert paths["u005"] == "a5"


def test_none_are_none(tmp_path: Path) -> None:
    assert list(known(tmp_path, 0)) == []
