"""`verify`: what is damaged, and what was replaced as it may be."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from blake3 import blake3

from afresh.assets.manifest import Manifest, Sensor, Source
from afresh.daemon.api.verify import verify
from afresh.storage.ledger.reader import Reader
from afresh.storage.references import reference_uri
from support.ledgers import unit, validity, version
from support.views import filled

MANIFEST = Manifest("d", (Source("days", Sensor("bucket", {}), ("day",)),))


def findings(folder: Path, head: int, states: Iterable[int | None]) -> dict[str, dict[str, Any]]:
    """Verify a file that was replaced after version 1 was read, and was then version 2."""
    file = folder / "d1.csv"
    file.write_bytes(b"new")
    uri = reference_uri(file.as_uri())
    hashes = {1: blake3(b"old").hexdigest(), 2: blake3(b"new").hexdigest()}
    made = [version("days", "d1", i, uri=uri, hash=digest) for i, digest in hashes.items()]
    definitions = {
        "epoch": 1, "digest": "d", "manifest": msgspec.msgpack.encode(MANIFEST), "loaded_at": 1.0,
    }  # fmt: skip
    valid = [validity("days", "d1", epoch, number) for epoch, number in enumerate(states, 1)]
    ledger = filled(
        folder,
        {
            "version": made,
            "unit": [unit("days", "d1", version=head, epoch=len(valid))],
            "validity": valid,
            "definitions": [definitions],
        },
    )
    rows = verify(Reader(ledger), str(folder), str(folder), lambda _done, _total: None)
    return {row["detail"].partition(":")[0]: row for row in rows if row["check"] == "artifact"}


def test_an_original_that_was_replaced_and_read_again_is_no_damage(tmp_path: Path) -> None:
    rows = findings(tmp_path, 2, [1, 2])
    assert {ref: row["state"] for ref, row in rows.items()} == {"days[d1]@1": "warning"}
    assert 'keep="data"' in rows["days[d1]@1"]["hint"]


@pytest.mark.parametrize(("states", "found"), [([2, 1], "failed"), ([2, 1, None], "warning")])
def test_an_original_that_runs_may_read_is_damage(
    tmp_path: Path, states: list[int | None], found: str
) -> None:
    """Also as the last good version of one whose newest arrival is bad; not once it is deleted."""
    rows = findings(tmp_path, 1, states)
    assert {ref: row["state"] for ref, row in rows.items()} == {"days[d1]@1": found}
