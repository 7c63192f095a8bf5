"""`verify`: every artifact against its hash, the ledger against itself."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from afresh.assets.errors import ArtifactError
from afresh.assets.partition import format_ref
from afresh.daemon.api.view import Reader
from afresh.storage.artifacts.files import verify as verify_artifact
from afresh.storage.ledger import queries
from afresh.storage.ledger.check import check_ledger

Progress = Callable[[int, int], None]

_WITHOUT_DATA = frozenset({"collected", "tombstone"})


def verify(reader: Reader, project: str, progress: Progress) -> list[dict[str, Any]]:
    """Check all; rows of `check, state, detail, hint`, state `ok` or `failed`.

    Reads every byte that is kept. `progress` is told how many of how many artifacts are done.
    """
    rows = list(_ledger(reader))
    found = list(_artifacts(reader, project, progress))
    return rows + found


def _ledger(reader: Reader) -> Iterator[dict[str, Any]]:
    (damage,) = reader.rows("PRAGMA integrity_check(1)")[:1]
    if damage[0] != "ok":
        yield _row("ledger", "failed", str(damage[0]), "restore the ledger from a backup")
        return
    findings = check_ledger(reader)
    for finding in findings:
        yield _row(f"ledger.{finding.check}", "failed", finding.detail, "this is a fault of afresh")
    if not findings:
        yield _row("ledger", "ok", "it does not contradict itself", "")


def _artifacts(reader: Reader, project: str, progress: Progress) -> Iterator[dict[str, Any]]:
    # A content that came back has one artifact under several versions: it is read once.
    kept = [row[:5] for row in reader.rows(queries.ARTIFACTS) if row[6] not in _WITHOUT_DATA]
    kept += reader.rows(queries.SEGMENT_ARTIFACTS)
    failed, told = 0, dict[str, str]()
    for i, (asset, partition, version, uri, digest) in enumerate(kept):
        progress(i, len(kept))
        if uri not in told:
            told[uri] = _problem(uri if "://" in uri else str(Path(project) / uri), digest)
        if told[uri]:
            failed += 1
            ref = format_ref(asset, partition, version)
            hint = f"afresh materialize --force {format_ref(asset, partition)} rebuilds it"
            yield _row("artifact", "failed", f"{ref}: {told[uri]}", hint)
    progress(len(kept), len(kept))
    if not failed:
        yield _row("artifacts", "ok", f"{len(kept)} artifacts have the hash they had", "")


def _problem(uri: str, digest: str) -> str:
    try:
        verify_artifact(uri, digest)
    except ArtifactError as error:
        return error.error
    return ""


def _row(check: str, state: str, detail: str, hint: str) -> dict[str, Any]:
    return {"check": check, "state": state, "detail": detail, "hint": hint}
