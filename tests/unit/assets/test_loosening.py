from typing import Any

import pandera.pandas as pan
import pandera.polars as pop
import pytest

from afresh.assets.loosening import is_looser
from afresh.assets.manifest import Column, Schema
from afresh.assets.schema import describe

ge = pan.Check.ge


def number(*checks: Any, **options: Any) -> pan.DataFrameSchema:
    more = {name: options.pop(name) for name in ("strict", "unique", "ordered") if name in options}
    return pan.DataFrameSchema({"n": pan.Column(float, list(checks), **options)}, **more)


def text(*checks: Any) -> pan.DataFrameSchema:
    return pan.DataFrameSchema({"t": pan.Column(str, list(checks))})


def columns(*names: str, **options: Any) -> pan.DataFrameSchema:
    return pan.DataFrameSchema({name: pan.Column(int) for name in names}, **options)


def small(frame: Any) -> Any:
    return frame < 10


def tiny(frame: Any) -> Any:
    return frame < 5


LOOSER: dict[str, tuple[Any, Any]] = {
    "the same": (number(ge(0)), number(ge(0))),
    "a check less": (number(ge(0)), number()),
    "a lower bound": (number(ge(0)), number(ge(-1))),
    "a bound that is included": (number(pan.Check.gt(0)), number(ge(0))),
    "a range for a bound": (number(pan.Check.in_range(0, 5)), number(ge(0))),
    "a wider range": (
        number(pan.Check.in_range(0, 5, include_max=False)),
        number(pan.Check.in_range(0, 5)),
    ),
    "more values": (text(pan.Check.isin(["a"])), text(pan.Check.isin(["b", "a"]))),
    "fewer forbidden": (text(pan.Check.notin(["a", "b"])), text(pan.Check.notin(["b"]))),
    "a longer text": (text(pan.Check.str_length(1, 3)), text(pan.Check.str_length(0, 4))),
    "nulls": (number(), number(nullable=True)),
    "not unique": (number(unique=["n"]), number()),
    "a column not unique": (
        pan.DataFrameSchema({"n": pan.Column(float, unique=True)}),
        number(),
    ),
    "may be absent": (number(), number(required=False)),
    "a column less": (columns("a", "b"), columns("a")),
    "other columns": (columns("a", strict=True), columns("a")),
    "a column that may come": (
        columns("a", strict=True),
        pan.DataFrameSchema(
            {"a": pan.Column(int), "b": pan.Column(int, required=False)}, strict=True
        ),
    ),
    "a check of one's own less": (number(pan.Check(small)), number()),
}
NOT: dict[str, tuple[Any, Any]] = {
    "a check more": (number(), number(ge(0))),
    "a higher bound": (number(ge(0)), number(ge(1))),
    "a bound that is left out": (number(ge(0)), number(pan.Check.gt(0))),
    "a bound for a range": (number(ge(0)), number(pan.Check.in_range(0, 5))),
    "another bound": (number(ge(0)), number(pan.Check.le(0))),
    "fewer values": (text(pan.Check.isin(["b", "a"])), text(pan.Check.isin(["a"]))),
    "values of another type": (number(pan.Check.isin([1])), number(pan.Check.isin([True, 2]))),
    "more forbidden": (text(pan.Check.notin(["b"])), text(pan.Check.notin(["a", "b"]))),
    "a shorter text": (text(pan.Check.str_length(1, 3)), text(pan.Check.str_length(1, 2))),
    "an exact length": (text(pan.Check.str_length(1, 3)), text(pan.Check.str_length(2))),
    "no nulls": (number(nullable=True), number()),
    "nulls are checked": (number(ge(0)), number(pan.Check.ge(-1, ignore_na=False))),
    "unique": (number(), number(unique=["n"])),
    "must be there": (number(required=False), number()),
    "a column more": (columns("a"), columns("a", "b")),
    "a column that may come in an open one": (
        columns("a"),
        pan.DataFrameSchema({"a": pan.Column(int), "b": pan.Column(int, required=False)}),
    ),
    "no other columns": (columns("a"), columns("a", strict=True)),
    "a column less of a strict one": (columns("a", "b", strict=True), columns("a", strict=True)),
    "ordered": (columns("a", "b"), columns("a", "b", ordered=True)),
    "another type": (number(), pan.DataFrameSchema({"n": pan.Column(int)})),
    "a type held otherwise": (
        pan.DataFrameSchema({"n": pan.Column("int64")}),
        pan.DataFrameSchema({"n": pan.Column("Int64")}),
    ),
    "coerced": (number(), number(coerce=True)),
    "another check of one's own": (number(pan.Check(small)), number(pan.Check(tiny))),
    "another library": (number(), pop.DataFrameSchema({"n": pop.Column(float)})),
    "a bound beyond what floats tell apart": (number(ge(2**60)), number(ge(2**60 - 1))),
    "moments": (
        pan.DataFrameSchema({"n": pan.Column("datetime64[ns]", ge("2024-01-01"))}),
        pan.DataFrameSchema({"n": pan.Column("datetime64[ns]", ge("2023-01-01"))}),
    ),
}


@pytest.mark.parametrize(("old", "new"), LOOSER.values(), ids=LOOSER)
def test_looser(old: Any, new: Any) -> None:
    assert is_looser(describe(old), describe(new))


@pytest.mark.parametrize(("old", "new"), NOT.values(), ids=NOT)
def test_not_proven_looser(old: Any, new: Any) -> None:
    assert not is_looser(describe(old), describe(new))


def test_of_a_manifest_that_knows_no_rules_nothing_is_proven() -> None:
    old = Schema("S", (Column("n", "float64", checks=("unique",)),), "open", "", "1")
    new = Schema("S", (Column("n", "float64"),), "open", "", "2")
    assert not is_looser(old, new)


def test_a_check_on_values_is_another_than_on_the_column() -> None:
    whole, each = number(pan.Check(small)), number(pan.Check(small, element_wise=True))
    assert describe(whole).version != describe(each).version
