"""The tables' columns, keys and defaults as plain data: printed by `declared`.

The daemon writes with these: SQLModel and SQLAlchemy would cost it 31 MB and 0.4 s at each start.
A test compares them with the tables.
"""

from afresh.storage.ledger.shape import Shape

TABLES = {
    "alert": Shape(columns=("subject", "state", "since", "detail"), key=("subject",), defaults={}),
    "cursor": Shape(columns=("sensor", "value", "updated_at"), key=("sensor",), defaults={}),
    "definitions": Shape(
        columns=("epoch", "digest", "manifest", "loaded_at"), key=("epoch",), defaults={}
    ),
    "event": Shape(
        columns=(
            "seq",
            "epoch",
            "sensor",
            "source",
            "partition",
            "kind",
            "uri",
            "observed_at",
            "state",
            "run",
            "detail",
            "identity",
        ),
        key=("seq",),
        defaults={"epoch": None, "run": None, "detail": "", "identity": ""},
    ),
    "failure": Shape(
        columns=("asset", "partition", "run_key", "run", "kind", "attempts", "at", "error"),
        key=("asset", "partition"),
        defaults={},
    ),
    "lease": Shape(
        columns=("id", "term", "holder", "pid", "host", "socket", "acquired_at", "released_at"),
        key=("id",),
        defaults={"released_at": None},
    ),
    "lineage": Shape(
        columns=("run", "parameter", "asset", "reads", "epoch", "partition", "version"),
        key=("run", "parameter"),
        defaults={"partition": "", "version": None},
    ),
    "path": Shape(columns=("sensor", "uri", "identity", "seq"), key=("sensor", "uri"), defaults={}),
    "pause": Shape(
        columns=("kind", "name", "partition", "at"), key=("kind", "name", "partition"), defaults={}
    ),
    "rejection": Shape(
        columns=("run", "asset", "partition", "error", "cases", "total", "uri"),
        key=("run", "asset"),
        defaults={"uri": ""},
    ),
    "request": Shape(columns=("id", "op", "at", "response"), key=("id",), defaults={}),
    "run": Shape(
        columns=(
            "run",
            "asset",
            "partition",
            "epoch",
            "attempt",
            "run_key",
            "state",
            "cause_kind",
            "cause_event",
            "events",
            "reasons",
            "code_version",
            "staging",
            "started_at",
            "ended_at",
            "error",
            "version",
        ),
        key=("run", "asset"),
        defaults={"ended_at": None, "error": "", "version": None},
    ),
    "run_key": Shape(
        columns=("asset", "partition", "run_key", "version", "run"),
        key=("asset", "partition", "run_key"),
        defaults={},
    ),
    "unit": Shape(
        columns=(
            "asset",
            "partition",
            "version",
            "epoch",
            "run_key",
            "deleted",
            "code_version",
            "code_stale",
            "failed_run",
            "updated_at",
        ),
        key=("asset", "partition"),
        defaults={
            "version": None,
            "epoch": 0,
            "run_key": "",
            "deleted": False,
            "code_version": "",
            "code_stale": False,
            "failed_run": None,
        },
    ),
    "validity": Shape(
        columns=("asset", "partition", "epoch", "version", "run"),
        key=("asset", "partition", "epoch"),
        defaults={},
    ),
    "verification": Shape(
        columns=("run", "asset", "partition", "version", "equal", "columns", "at"),
        key=("run", "asset"),
        defaults={},
    ),
    "version": Shape(
        columns=(
            "asset",
            "partition",
            "version",
            "epoch",
            "fingerprint",
            "columns",
            "rows",
            "bytes",
            "hash",
            "uri",
            "schema_version",
            "code_version",
            "run",
            "created_at",
            "state",
            "metadata_json",
        ),
        key=("asset", "partition", "version"),
        defaults={"metadata_json": "{}"},
    ),
}
