"""What stored data is still to be held against a changed schema, and what was found: plain SQL.

Of a version there is a row with its number, of rows of a stream one with the version 0.
"""

REVALIDATIONS = "SELECT asset, event, only_suspect FROM revalidation ORDER BY asset"

HAS_UNITS = "SELECT 1 FROM unit WHERE asset = :asset LIMIT 1"

IS_SUSPECT = "SELECT 1 FROM validation WHERE asset = :asset AND state = 'suspect' LIMIT 1"

VALIDATED = """
SELECT partition, version, first_row FROM validation WHERE asset = :asset LIMIT :limit
"""

_IS_LEFT = """
v.end_row IS NULL AND v.state NOT IN ('collected', 'tombstone')
AND COALESCE(w.schema_version, v.schema_version) <> :schema
AND (:every OR COALESCE(w.state, '') = 'suspect')
"""
_VERDICT = """
LEFT JOIN validation w ON w.asset = v.asset AND w.partition = v.partition
AND w.version = v.version AND w.first_row = 0
"""

# By pages of all there is, with what is left to do marked: a page costs the same wherever it is.

HEADS = f"""
SELECT u.partition, 0, v.version, v.uri, v.hash, v.rows, v.bytes, {_IS_LEFT}
FROM unit u LEFT JOIN version v
ON v.asset = u.asset AND v.partition = u.partition AND v.version = u.version {_VERDICT}
WHERE u.asset = :asset AND (u.partition, 0) > (:partition, :number)
ORDER BY u.partition LIMIT :limit
"""  # noqa: S608 - of constants
"""partition, 0, version, uri, hash, rows, bytes of heads, and whether they are to be validated."""

VERSIONS = f"""
SELECT v.partition, v.version, v.version, v.uri, v.hash, v.rows, v.bytes, {_IS_LEFT}
FROM version v {_VERDICT} WHERE v.asset = :asset
AND (v.partition, v.version) > (:partition, :number) ORDER BY v.partition, v.version LIMIT :limit
"""  # noqa: S608 - of constants
"""The same of all versions."""

SEGMENTS = """
SELECT v.partition, v.first_row, v.end_row, v.uri, v.hash, 0, v.bytes,
(:every AND COALESCE(w.schema_version, v.schema_version) <> :schema)
OR EXISTS (SELECT 1 FROM validation x WHERE x.asset = v.asset AND x.partition = v.partition
AND x.version = 0 AND x.state = 'suspect' AND x.schema_version <> :schema
AND x.first_row < v.end_row AND x.end_row > v.first_row)
FROM segment v LEFT JOIN validation w ON w.asset = v.asset AND w.partition = v.partition
AND w.version = 0 AND w.first_row = v.first_row AND w.end_row = v.end_row
WHERE v.asset = :asset AND (v.partition, v.first_row) > (:partition, :number)
ORDER BY v.partition, v.first_row LIMIT :limit
"""
"""partition, first_row, end_row, uri, hash, 0, bytes of segments, and the same."""

ROWS_WITHIN = """
SELECT first_row FROM validation WHERE asset = :asset AND partition = :partition AND version = 0
AND first_row < :end AND end_row > :first
"""
"""What was found of rows among these, in other segments perhaps."""

_SUSPECT_HEADS = """
FROM validation w JOIN unit u ON u.asset = w.asset AND u.partition = w.partition
JOIN version v ON v.asset = u.asset AND v.partition = u.partition AND v.version = u.version
WHERE w.state = 'suspect' AND (w.version = v.version
OR (w.version = 0 AND w.first_row < v.end_row AND w.end_row > v.start_row))
"""

SUSPECT_HEADS = f"""
SELECT u.asset, u.partition, u.version, w.schema_version, w.event, w.error, w.at
{_SUSPECT_HEADS} ORDER BY u.asset, u.partition, w.first_row
"""
"""Each head with what failed; of a stream there may be several rows."""

SUSPECT_HEADS_OF_ASSET = f"""
SELECT u.partition, u.version, w.error {_SUSPECT_HEADS} AND u.asset = :asset
ORDER BY u.partition, w.first_row
"""

SUSPECT_ASSETS = "SELECT DISTINCT asset FROM validation WHERE state = 'suspect'"

OF_VERSION = """
SELECT w.schema_version, w.event, w.error, w.cases, w.total, w.at
FROM validation w JOIN version v ON v.asset = w.asset AND v.partition = w.partition
WHERE w.asset = :asset AND w.partition = :partition AND w.state = 'suspect'
AND v.version = :version AND (w.version = v.version
OR (w.version = 0 AND w.first_row < v.end_row AND w.end_row > v.start_row))
ORDER BY w.first_row
"""
"""What is known against one version."""
