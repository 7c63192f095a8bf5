"""A schema that is called looser takes every frame that the one before it took."""

from typing import Any

import pandas as pd
import pandera.pandas as pan
from hypothesis import HealthCheck, assume, given
from hypothesis import strategies as st

from afresh.assets.errors import InvalidData
from afresh.assets.loosening import is_looser
from afresh.assets.schema import describe, validate
from support.examples import times

numbers = st.sampled_from([-1, 0, 1, 2])


def some_range(draw: Any) -> Any:
    low, high = sorted((draw(numbers), draw(numbers)))
    return pan.Check.in_range(low, high + 1, draw(st.booleans()), draw(st.booleans()))


@st.composite
def checks_of_numbers(draw: st.DrawFn) -> list[Any]:
    check = pan.Check
    kinds = [
        lambda: check.ge(draw(numbers)),
        lambda: check.gt(draw(numbers)),
        lambda: check.le(draw(numbers)),
        lambda: check.lt(draw(numbers)),
        lambda: some_range(draw),
        lambda: check.isin(draw(st.lists(numbers, min_size=1, unique=True))),
        lambda: check.notin(draw(st.lists(numbers, min_size=1, max_size=2, unique=True))),
    ]
    return [draw(st.sampled_from(kinds))() for _ in range(draw(st.sampled_from([0, 1, 1, 2])))]


@st.composite
def checks_of_text(draw: st.DrawFn) -> list[Any]:
    if draw(st.booleans()):
        return []
    low, high = sorted((draw(st.integers(0, 3)), draw(st.integers(0, 3))))
    return [pan.Check.str_length(low, high) if draw(st.booleans()) else pan.Check.str_length(low)]


def column(draw: st.DrawFn, kind: type, checks: list[Any]) -> pan.Column:
    return pan.Column(
        kind,
        checks,
        nullable=draw(st.booleans()),
        unique=draw(st.booleans()),
        required=draw(st.booleans()),
    )


@st.composite
def schemas(draw: st.DrawFn) -> pan.DataFrameSchema:
    columns = {"n": column(draw, float, draw(checks_of_numbers()))}
    if draw(st.booleans()):
        columns["t"] = column(draw, str, draw(checks_of_text()))
    unique = draw(st.sampled_from([None, ["n"]]))
    return pan.DataFrameSchema(columns, strict=draw(st.booleans()), unique=unique, name="S")


CHANGES = ("checks", "checks", "nullable", "unique", "required", "gone", "new", "strict", "rule")


@st.composite
def changed(draw: st.DrawFn, old: pan.DataFrameSchema) -> pan.DataFrameSchema:
    """Change one thing about a schema: what two changes hide from each other is shown by one."""
    columns, strict, unique = dict(old.columns), old.strict, old.unique
    name = draw(st.sampled_from(sorted(columns)))
    was = columns[name]
    checks, nullable, alone, required = was.checks, was.nullable, was.unique, was.required
    match draw(st.sampled_from(CHANGES)):
        case "checks":
            checks = draw(checks_of_numbers() if name == "n" else checks_of_text())
        case "nullable":
            nullable = not nullable
        case "unique":
            alone = not alone
        case "required":
            required = not required
        case "gone":
            columns.pop(name)
        case "new":
            columns["x"] = column(draw, float, draw(checks_of_numbers()))
        case "strict":
            strict = not strict
        case _:
            unique = None if unique else ["n"]
    if name in columns:
        columns[name] = pan.Column(
            was.dtype, checks, nullable=nullable, unique=alone, required=required
        )
    return pan.DataFrameSchema(columns, strict=strict, unique=unique, name="S")


def few(*values: Any) -> Any:
    """Two of these, or no column at all."""
    return st.one_of(st.just([]), st.lists(st.sampled_from(values), min_size=2, max_size=2))


frames = st.builds(
    lambda n, t, extra: pd.DataFrame(
        {**({"n": n} if n else {}), **({"t": t} if t else {}), **({"x": extra} if extra else {})}
    ),
    few(-1.0, 0.0, 0.5, 1.0, 2.0, None),
    few("", "a", "bb", "ccc"),
    few(-1.0, 2.0),
)


def is_valid(frame: pd.DataFrame, schema: pan.DataFrameSchema) -> bool:
    typed = {"n": "float64", "t": "str", "x": "float64"}
    frame = frame.astype({name: typed[name] for name in frame.columns})
    try:
        validate(frame, schema, "pandas")
    except InvalidData:
        return False
    return True


@given(st.data())
@times(1.2, suppress_health_check=[HealthCheck.filter_too_much])
def test_what_was_valid_stays_valid_under_a_looser_schema(data: st.DataObject) -> None:
    old = data.draw(schemas())
    new = data.draw(changed(old))
    assume(is_looser(describe(old), describe(new)))
    for frame in data.draw(st.lists(frames, min_size=4, max_size=4)):
        if is_valid(frame, old):
            assert is_valid(frame, new)
