import pytest

from afresh.assets.contract import mismatches
from afresh.assets.manifest import Column
from support.manifests import a_schema

INT = Column("a", "int64")


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (INT, INT),
        (INT, Column("a", "int64", nullable=True)),
        (INT, Column("a", "")),
        (Column("a", ""), INT),
        (INT, Column("a", "string", coerce=True)),
        (INT, Column("b", "int64", required=False)),
        (INT, Column("[ab]", "int64", regex=True)),
        (Column(".*", "int64", regex=True), INT),
        (Column("a.*", "int64", regex=True), Column("a.*", "int64", regex=True)),
        # Which names fit both is known by the data alone.
        (Column("a.*", "int64", regex=True), Column("[ab]", "string", regex=True)),
        (Column("a", "timestamp[ns, UTC]"), Column("a", "timestamp[ns, *]")),
        (Column("a", 'category["x"]'), Column("a", "category")),
    ],
)
def test_satisfied(made: Column, wanted: Column) -> None:
    assert list(mismatches(a_schema("P", made), a_schema("C", wanted))) == []


@pytest.mark.parametrize(
    ("made", "wanted", "error"),
    [
        (INT, Column("b", "int64"), "found none in P"),
        (INT, Column("a", "string"), "of string, found int64"),
        (Column("a", "int64", nullable=True), INT, "found it nullable"),
        (Column("a", "int64", required=False), INT, "found it optional"),
        (INT, Column("b+", "int64", regex=True), "found none in P"),
        (INT, Column("[ab]", "string", regex=True), "of string, found int64"),
        (Column("a.*", "int64", regex=True), Column("a", "string"), "of string, found int64"),
        (Column("b.*", "int64", regex=True), INT, "found none in P"),
        (Column("a", "timestamp[ns]"), Column("a", "timestamp[ns, *]"), "found timestamp[ns]"),
        (INT, Column("a", "float64"), "of float64, found int64"),
    ],
)
def test_not_satisfied(made: Column, wanted: Column, error: str) -> None:
    (found,) = mismatches(a_schema("P", made), a_schema("C", wanted))
    assert error in found.error
    assert found.column == wanted.name
    assert found.hint


def test_a_misspelt_column_is_named() -> None:
    made, wanted = a_schema("P", Column("carrier", "")), a_schema("C", Column("carier", ""))
    (found,) = mismatches(made, wanted)
    assert found.hint == "did you mean 'carrier'?"


def test_strict_consumers_take_no_more() -> None:
    made = a_schema("P", INT, Column("b", "int64"))
    assert list(mismatches(made, a_schema("C", INT, strict="filter"))) == []
    (found,) = mismatches(made, a_schema("C", INT, strict="strict"))
    assert found.column == "b"


def test_strict_consumers_take_what_fits_their_patterns() -> None:
    pattern = Column("[ab]", "int64", regex=True)
    made = a_schema("P", INT, Column("b", "int64"), Column("c", "int64"))
    (found,) = mismatches(made, a_schema("C", pattern, strict="strict"))
    assert found.column == "c"
    made = a_schema("P", INT, Column("x.*", "int64", regex=True))
    assert list(mismatches(made, a_schema("C", pattern, strict="strict"))) == []
