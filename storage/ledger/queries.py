"""The reads of the ledger, as plain SQL with named `:parameters`, for SQLite and PostgreSQL.

Nothing here decides anything. Single rows, pairs of them and look-ups by key; the filtered listings
are in `listings`, what a start-up needs is in `state`.
"""

# -- where the ledger stands ---------------------------------------------------------------------

POSITION = """
SELECT COALESCE((SELECT MAX(seq) FROM event), 0), COALESCE(MAX(epoch), 0) FROM (
SELECT MAX(epoch) AS epoch FROM event UNION ALL SELECT MAX(epoch) FROM validity
UNION ALL SELECT MAX(epoch) FROM unit UNION ALL SELECT MAX(epoch) FROM definitions
) AS epochs
"""
"""seq, epoch: the highest that were given."""

LAST_DEFINITIONS = """
SELECT epoch, digest, manifest, loaded_at FROM definitions ORDER BY epoch DESC LIMIT 1
"""

DEFINITIONS_BEFORE = """
SELECT epoch, manifest FROM definitions WHERE epoch < :epoch ORDER BY epoch DESC LIMIT 1
"""

LAST_CODE_EVENT = """
SELECT MAX(seq) FROM event WHERE kind = 'code' AND sensor = ''
AND epoch = (SELECT MAX(epoch) FROM definitions)
"""
"""The journal's event of the definitions that are in force."""

CODE_EVENTS = """
SELECT e.seq, d.manifest FROM definitions d JOIN event e
ON e.epoch = d.epoch AND e.kind = 'code' AND e.sensor = '' ORDER BY d.epoch DESC LIMIT :limit
"""
"""The definitions that were in force, newest first, each with the event of the journal."""

PAUSES = "SELECT kind, name, partition, at FROM pause ORDER BY kind, name, partition"

ALERTS = "SELECT subject, state, since, detail FROM alert ORDER BY since, subject"

NOTICES = "SELECT number, payload FROM notice ORDER BY number"

REQUEST = "SELECT op, at, response FROM request WHERE id = :id"

# -- sensors and events --------------------------------------------------------------------------

CURSORS = "SELECT sensor, value, updated_at FROM cursor ORDER BY sensor"

CURSOR = "SELECT value FROM cursor WHERE sensor = :sensor"

PATHS = "SELECT uri, identity, seq FROM path WHERE sensor = :sensor ORDER BY uri"

HAS_PATHS = "SELECT 1 FROM path WHERE sensor = :sensor LIMIT 1"

PENDING_EVENTS = """
SELECT seq, epoch, sensor, source, partition, kind, uri, observed_at, state, run, detail, identity,
LENGTH(payload), staged, position, depth FROM event WHERE state = 'pending' ORDER BY seq
"""

PENDING_BATCHES = """
SELECT seq, epoch, sensor, source, partition, kind, uri, observed_at, state, run, detail, identity,
payload, staged, position, depth FROM event
WHERE state = 'pending' AND source = :source AND seq BETWEEN :first AND :last ORDER BY seq
"""

DELETIONS = """
SELECT u.asset, u.partition, MAX(e.seq) FROM unit u CROSS JOIN event e
WHERE u.deleted AND e.epoch = u.epoch AND e.source = u.asset AND e.partition = u.partition
AND e.kind = 'deleted' GROUP BY u.asset, u.partition
"""
"""asset, partition, seq of the deletion that is in force, of the units of sources."""

LAST_EVENTS = "SELECT sensor, observed_at FROM last_event ORDER BY sensor"
"""sensor, observed_at of each sensor's last event."""

# -- units and versions --------------------------------------------------------------------------

UNITS = """
SELECT asset, partition, version, epoch, run_key, deleted, code_version, code_stale, failed_run,
updated_at FROM unit WHERE asset IN ({assets}) ORDER BY asset, partition
"""
"""Of some assets, whose names are put in: so are the others that `Units` reads."""

ARTIFACTS = """
SELECT asset, partition, version, uri, hash, bytes, state FROM version WHERE end_row IS NULL
ORDER BY uri
"""
"""What `verify` compares with the artifacts that are there."""

RUN_KEYS = """
SELECT asset, partition, run_key, version, run FROM run_key WHERE asset IN ({assets})
"""

# -- cuts ----------------------------------------------------------------------------------------

UNIT_AT = """
SELECT epoch, version, run FROM validity
WHERE asset = :asset AND partition = :partition AND epoch <= :epoch ORDER BY epoch DESC LIMIT 1
"""
"""epoch, version, run of a unit as of an epoch; version None: deleted. No row: not there yet."""

ASSET_AT = """
SELECT u.partition, v.epoch, v.version, v.run FROM unit u JOIN validity v
ON v.asset = u.asset AND v.partition = u.partition AND v.epoch = (
SELECT MAX(w.epoch) FROM validity w
WHERE w.asset = u.asset AND w.partition = u.partition AND w.epoch <= :epoch)
WHERE u.asset = :asset ORDER BY u.partition
"""
"""partition, epoch, version, run of all units of an asset as of an epoch, in key order.

Deleted units are among them (version None), units that were not there yet are not.
"""

UNIT_STATES = """
SELECT u.partition, u.version, u.deleted, v.version FROM unit u JOIN validity v
ON v.asset = u.asset AND v.partition = u.partition AND v.epoch = (
SELECT MAX(w.epoch) FROM validity w WHERE w.asset = u.asset AND w.partition = u.partition)
WHERE u.asset = :asset ORDER BY u.partition
"""
"""partition, head, whether it is deleted, the version that is in force now (None: none)."""

HEADS_IN_FORCE = """
SELECT u.asset, u.partition, u.version FROM unit u WHERE NOT EXISTS (
SELECT 1 FROM validity v WHERE v.asset = u.asset AND v.partition = u.partition
AND v.version IS NULL AND v.epoch = (SELECT MAX(w.epoch) FROM validity w
WHERE w.asset = u.asset AND w.partition = u.partition))
"""
"""The heads that runs may read: of all units but those that are deleted for their readers."""

VALIDITY_OF_UNIT = """
SELECT epoch, version, run FROM validity WHERE asset = :asset AND partition = :partition
ORDER BY epoch
"""

# -- runs, what they read, what read them --------------------------------------------------------

# The kind of a cause is the journal's: what is made of what was made names it too.
_RUN = """
SELECT run, asset, partition, epoch, attempt, run_key, state,
COALESCE((SELECT kind FROM event WHERE seq = cause_event), cause_kind), cause_event, events,
reasons, code_version, staging, started_at, ended_at, error, version FROM run
"""

RUN = f"{_RUN} WHERE run = :run ORDER BY asset"

RUNS_UNDER_WAY = f"{_RUN} WHERE state IN ('queued', 'running') ORDER BY run, asset"
"""At a start-up these are the interrupted ones."""

RUNS_OF_UNIT = f"""{_RUN}
WHERE asset = :asset AND partition = :partition ORDER BY run DESC LIMIT :limit
"""
"""A unit's runs, newest first."""

LINEAGE_OF_RUN = """
SELECT parameter, asset, reads, epoch, partition, version FROM lineage WHERE run = :run
ORDER BY parameter
"""
"""What a run read; version None: all units of the asset as of the epoch (`ASSET_AT`)."""

RUNS_THAT_READ = """
SELECT l.run, l.parameter, l.reads, l.epoch FROM lineage l
WHERE l.asset = :asset AND l.partition = :partition AND l.version = :version
UNION
SELECT l.run, l.parameter, l.reads, l.epoch FROM lineage l
WHERE l.asset = :asset AND l.partition = '' AND l.version IS NULL AND EXISTS (
SELECT 1 FROM validity v WHERE v.asset = :asset AND v.partition = :partition
AND v.version = :version AND v.epoch = (
SELECT MAX(w.epoch) FROM validity w
WHERE w.asset = :asset AND w.partition = :partition AND w.epoch <= l.epoch))
ORDER BY 1, 2
"""
"""run, parameter, reads, epoch of the runs that read a unit at a version, alone or among all."""

LAST_SECONDS = """
SELECT ended_at - started_at FROM run WHERE asset = :asset
AND state IN ('succeeded', 'unchanged') ORDER BY run DESC LIMIT :limit
"""
"""How long the last good runs of an asset took."""

VERSIONS_OF_RUN = """
SELECT r.asset, r.partition, r.version FROM run r
WHERE r.run = :run AND r.version IS NOT NULL ORDER BY r.asset
"""
"""asset, partition, version that a run made, or showed to be unchanged."""

FAILURES = """
SELECT asset, partition, run_key, run, kind, attempts, at, error FROM failure
WHERE asset IN ({assets}) ORDER BY asset, partition
"""

FAILED_KEYS = "SELECT partition FROM failure WHERE asset = :asset"

REJECTION = """
SELECT asset, partition, error, cases, total, uri FROM rejection WHERE run = :run ORDER BY asset
"""

CONTENTS = """
SELECT v.asset, v.partition, v.version, v.fingerprint, v.columns, v.uri, v.hash, v.rows,
v.code_version, r.cause_event, v.run, v.created_at, v.start_row, v.end_row, v.origin_row
FROM version v LEFT JOIN run r ON r.run = v.run AND r.asset = v.asset
WHERE v.asset IN ({assets}) AND (v.asset, v.partition, v.version) > (:asset, :partition, :version)
AND (v.end_row IS NULL OR v.version >= COALESCE((SELECT u.version FROM unit u
WHERE u.asset = v.asset AND u.partition = v.partition), 0))
ORDER BY v.asset, v.partition, v.version LIMIT :limit
"""
"""Kept versions with the event that caused each, by pages: what the planner compares.

Of a stream the head, and what is to take its place: no other is ever the same.
"""

SEGMENTS = """
SELECT asset, partition, first_row, end_row, uri, bytes, hash, fingerprint, columns, schema_version,
position, run, created_at FROM segment ORDER BY asset, partition, first_row
"""

SEGMENT_ARTIFACTS = """
SELECT s.asset, s.partition, (SELECT MIN(v.version) FROM version v WHERE v.asset = s.asset
AND v.partition = s.partition AND v.end_row >= s.end_row), s.uri, s.hash FROM segment s
ORDER BY s.uri
"""
"""The artifacts of streams, each with the first version that has all of it."""

SEGMENTS_OF_UNIT = """
SELECT first_row, end_row, uri, bytes, hash FROM segment
WHERE asset = :asset AND partition = :partition ORDER BY first_row
"""

MARKS = """
SELECT m.asset, m.partition, m.parameter, l.asset, m.end_row, m.origin_row FROM mark m
JOIN lineage l ON l.run = m.run AND l.parameter = m.parameter WHERE m.asset IN ({assets})
"""
"""asset, partition, parameter, the stream that it read then, end_row, origin_row."""

STAGED = "SELECT staged FROM event WHERE staged <> ''"

DEAD_LETTERS = "SELECT seq, number FROM dead_letter WHERE source = :source AND state = 'dead'"

OUTGOING = "SELECT number FROM outgoing WHERE target = :target ORDER BY number LIMIT :limit"

DEPTHS = "SELECT seq, depth FROM event WHERE depth > 0 ORDER BY seq DESC LIMIT 10000"

CURSORS_AMONG = "SELECT sensor, value FROM cursor WHERE sensor >= :first AND sensor < :last"

LETTER_COUNTS = "SELECT source, COUNT(*) FROM dead_letter GROUP BY source"

LETTER_BYTES = """
SELECT COALESCE(SUM(LENGTH(record)), 0) FROM dead_letter WHERE source = :source
"""

OLD_LETTERS = """
SELECT seq, number, state, LENGTH(record) FROM dead_letter
WHERE source = :source AND state <> 'replaying'
ORDER BY CASE WHEN state = 'dead' THEN 1 ELSE 0 END, seq, number LIMIT :limit
"""

STAGED_SINCE = """
SELECT staged FROM event WHERE staged <> '' AND (observed_at >= :since OR state = 'pending')
"""

BATCHES = """
SELECT seq, observed_at, state, staged, LENGTH(payload) FROM event WHERE seq > :after
ORDER BY seq LIMIT :limit
"""
"""What events have of the bytes that they came with."""

GARBAGE = "SELECT uri, at FROM garbage ORDER BY at, uri LIMIT :limit"

INPUTS_OF_HEADS = """
SELECT u.asset, u.partition, l.parameter, l.partition, l.version
FROM unit u JOIN version v
ON v.asset = u.asset AND v.partition = u.partition AND v.version = u.version
JOIN lineage l ON l.run = v.run WHERE u.asset IN ({assets}) AND l.version IS NOT NULL
"""
"""What single units the run that made each head read."""

UNMATCHED_PATHS = """
SELECT p.uri FROM path p JOIN event e ON e.seq = p.seq
WHERE p.sensor = :sensor AND e.state = 'unmatched'
"""
"""The uris that a sensor recorded as matching no source."""
