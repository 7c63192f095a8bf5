"""`verify`: every artifact against its hash, the ledger against itself."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from afresh.assets.errors import ArtifactError, LedgerUnusable, SensorError
from afresh.assets.manifest import Manifest, Source
from afresh.assets.partition import format_ref
from afresh.daemon.api.view import Reader
from afresh.daemon.reference_bytes import find_source, reference_bytes
from afresh.storage.artifacts.files import verify as verify_artifact
from afresh.storage.artifacts.moved import located
from afresh.storage.ledger import queries
from afresh.storage.ledger.check import check_ledger
from afresh.storage.references import parse_reference

Progress = Callable[[int, int], None]

_WITHOUT_DATA = frozenset({"collected", "tombstone"})


def verify(
    reader: Reader, project: str, artifacts: str, progress: Progress
) -> list[dict[str, Any]]:
    """Check all; rows of `check, state, detail, hint`, state `ok`, `warning` or `failed`.

    A warning is of an original that was replaced since: no run reads what it was any more.

    Reads every byte that is kept. `progress` is told how many of how many artifacts are done.
    """
    rows: list[dict[str, Any]] = []
    try:
        rows += _ledger(reader)
        rows += _artifacts(reader, project, artifacts, progress)
    except LedgerUnusable as error:
        rows.append(_row("ledger", "failed", error.error, error.hint))
    return rows


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


def _artifacts(
    reader: Reader, project: str, artifacts: str, progress: Progress
) -> Iterator[dict[str, Any]]:
    # A content that came back has one artifact under several versions: it is read once.
    kept = [row[:5] for row in reader.rows(queries.ARTIFACTS) if row[6] not in _WITHOUT_DATA]
    versions = len(kept)
    kept += reader.rows(queries.SEGMENT_ARTIFACTS)
    heads = set(reader.rows(queries.HEADS_IN_FORCE))
    # An original has one uri, whichever of its states a version had.
    told = dict[tuple[str, str], str]()
    states = Counter[str]()
    for i, (asset, partition, version, uri, digest) in enumerate(kept):
        progress(i, len(kept))
        if (uri, digest) not in told:
            problem = _problem(reader, asset, located(uri, artifacts), project, digest)
            told[uri, digest] = problem
        if told[uri, digest]:
            ref = format_ref(asset, partition, version)
            current = i >= versions or (asset, partition, version) in heads
            state = "failed" if current or not _may_be_replaced(uri) else "warning"
            states[state] += 1
            hint = _way_out(format_ref(asset, partition), uri, current=current)
            yield _row("artifact", state, f"{ref}: {told[uri, digest]}", hint)
    progress(len(kept), len(kept))
    if not states["failed"]:
        intact = len(kept) - states["warning"]
        yield _row("artifacts", "ok", f"{intact} artifacts have the hash they had", "")


def _may_be_replaced(uri: str) -> bool:
    """Whether a newer version of the same original is where this one was read."""
    reference = parse_reference(uri)
    return reference is not None and not reference.version


def _way_out(unit: str, uri: str, *, current: bool) -> str:
    """Say what mends an artifact: only of what is current is it known what to make it from."""
    if _may_be_replaced(uri) and not current:
        return (
            "nothing, if the original was meant to be replaced: to keep what it was, turn on the "
            'store\'s versioning, or write keep="data"'
        )
    if parse_reference(uri) is not None:
        return "restore the original"
    if current:
        return f"afresh materialize --force {unit} rebuilds it"
    return (
        f"restore {uri} from a backup: an older version cannot be made again by itself; "
        f"should {unit} have that content once more, afresh materialize --force {unit} rebuilds it"
    )


def _problem(reader: Reader, asset: str, uri: str, project: str, digest: str) -> str:
    reference = parse_reference(uri)
    try:
        if reference is not None:
            source = find_source(_sources(reader), asset, reference)
            reference_bytes(reference, digest, source)
        else:
            verify_artifact(uri if "://" in uri else str(Path(project) / uri), digest)
    except (ArtifactError, SensorError) as error:
        return error.error
    return ""


def _sources(reader: Reader) -> tuple[Source, ...]:
    rows = reader.rows(queries.LAST_DEFINITIONS)
    return msgspec.msgpack.decode(rows[0][2], type=Manifest).sources if rows else ()


def _row(check: str, state: str, detail: str, hint: str) -> dict[str, Any]:
    return {"check": check, "state": state, "detail": detail, "hint": hint}
