import io
import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from afresh.assets.errors import DataError
from afresh.daemon.api.rows import join, plain_rows, write_csv, write_parquet


@pytest.mark.parametrize(
    ("values", "kind", "plain"),
    [
        ([1, None], pa.int64(), [1, None]),
        ([2**63 + 1], pa.uint64(), [2**63 + 1]),
        ([1.5, float("nan"), None], pa.float64(), [1.5, None, None]),
        ([float("inf"), float("-inf")], pa.float64(), ["inf", "-inf"]),
        (["a\n\u202e"], pa.string(), ["a\n\u202e"]),
        ([True], pa.bool_(), [True]),
        ([date(2024, 1, 2)], pa.date32(), ["2024-01-02"]),
        ([time(1, 2, 3)], pa.time64("ns"), ["01:02:03.000000"]),
        ([timedelta(seconds=1.5)], pa.duration("ns"), [1.5]),
        ([Decimal("1.10")], pa.decimal128(5, 2), ["1.10"]),
        ([b"\0\xff"], pa.binary(), ["AP8="]),
        (["x", "y"], pa.dictionary(pa.int8(), pa.string()), ["x", "y"]),
        ([[1.5, float("nan")]], pa.list_(pa.float64()), [[1.5, None]]),
        ([{"a": datetime(2024, 1, 1)}], pa.struct([("a", pa.timestamp("ns"))]),  # noqa: DTZ001
         [{"a": "2024-01-01T00:00:00.000000"}]),
        ([datetime(2024, 1, 1, tzinfo=UTC)], pa.timestamp("us", "Europe/Berlin"),
         ["2024-01-01T00:00:00.000000Z"]),
    ],
)  # fmt: skip
def test_values_are_what_json_can_hold(values: Any, kind: pa.DataType, plain: Any) -> None:
    rows = list(plain_rows(pa.table({"x": pa.array(values, kind)})))
    assert [row["x"] for row in rows] == plain
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows


def test_nanoseconds_are_cut_without_pandas() -> None:
    nanoseconds = pa.array([1_700_000_000_123_456_789], pa.timestamp("ns", "UTC"))
    (row,) = plain_rows(pa.table({"t": nanoseconds}))
    assert row["t"] == "2023-11-14T22:13:20.123456Z"


def test_csv_has_empty_fields_for_what_is_not_known() -> None:
    table = pa.table(
        {
            "n": pa.array([1.5, float("nan"), None]),
            "s": pa.array(["a,b", None, 'q"']),
            "l": pa.array([[1], None, []]),
            "t": pa.array(
                [datetime(2024, 1, 1, tzinfo=UTC), None, None], pa.timestamp("us", "UTC")
            ),
        }
    )
    file = io.BytesIO()
    write_csv(table, file)
    assert file.getvalue().decode().splitlines() == [
        '"n","s","l","t"',
        '1.5,"a,b","[1]","2024-01-01T00:00:00.000000Z"',
        ",,,",
        ',"q""","[]",',
    ]


def test_parquet_is_the_table() -> None:
    table = pa.table({"x": [1, 2]})
    file = io.BytesIO()
    write_parquet(table, file)
    assert pq.read_table(io.BytesIO(file.getvalue())).equals(table)


def test_units_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="units of one form"):
        join([pa.table({"n": [1]}), pa.table({"n": [{"a": 1}]})])
    assert join([pa.table({"n": [1]}), pa.table({"m": [2.5]})]).num_rows == 2
