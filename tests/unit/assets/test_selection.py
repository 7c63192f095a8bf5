import pytest

from afresh.assets.errors import UsageError
from afresh.assets.graph import Graph
from afresh.assets.selection import select
from support.manifests import a_function, a_manifest, a_source

GRAPH = Graph(
    a_manifest(
        a_source("raw", "day", tags=("pii",)),
        a_source("planes", group="static"),
        a_function("clean", "=raw", "planes", tags=("pii",), group="billing"),
        a_function("daily", "=clean"),
        a_function("total", "daily"),
        a_function("shop.report", "total", group="billing"),
    )
)
DAYS = ("2024-01-01", "2024-01-02", "2025-01-01", "a b,c%2C")
UNITS = [
    *((asset, day) for asset in ("raw", "clean", "daily") for day in DAYS),
    ("planes", ""),
    ("total", ""),
    ("shop.report", ""),
]
STATES = {("clean", "2024-01-01"): "stale", ("total", ""): "stale"}


def chosen(expression: str) -> set[str]:
    found = select(expression, GRAPH, UNITS, lambda *unit: STATES.get(unit, "fresh"))
    return {f"{asset}[{key}]" if key else asset for asset, key in found}


def of(*assets: str, days: tuple[str, ...] = DAYS) -> set[str]:
    whole = {"planes", "total", "shop.report"}
    return {a for a in assets if a in whole} | {
        f"{a}[{d}]" for a in assets if a not in whole for d in days
    }


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("raw", of("raw")),
        ("shop.report", of("shop.report")),
        ("raw[2024-01-01]", {"raw[2024-01-01]"}),
        ("raw[2024-*]", {"raw[2024-01-01]", "raw[2024-01-02]"}),
        ("raw[*-01-01]", {"raw[2024-01-01]", "raw[2025-01-01]"}),
        ("raw[*]", of("raw")),
        ("raw[1999*]", set()),
        ("raw[a b,c%2c]", {"raw[a b,c%2C]"}),
        ("raw[a*,c*]", {"raw[a b,c%2C]"}),
        ("+clean", of("raw", "planes", "clean")),
        ("clean+", of("clean", "daily", "total", "shop.report")),
        ("clean+1", of("clean", "daily")),
        ("1+daily+1", of("clean", "daily", "total")),
        ("0+daily+0", of("daily")),
        ("+daily[2024-01-01]", of("raw", "clean", "daily", days=DAYS[:1]) | {"planes"}),
        ("raw[2024-01-01]+1", of("raw", "clean", days=DAYS[:1])),
        ("planes+1", of("planes", "clean")),
        ("1+total", of("daily", "total")),
        ("tag:pii", of("raw", "clean")),
        ("group:billing", of("clean", "shop.report")),
        ("tag:pii,group:billing", of("clean")),
        ("+group:static", of("planes")),
        ("state:stale", {"clean[2024-01-01]", "total"}),
        ("state:stale,clean", {"clean[2024-01-01]"}),
        ("state:stale+1", {"clean[2024-01-01]", "daily[2024-01-01]", "total", "shop.report"}),
        ("total planes", of("total", "planes")),
        ("  total\tplanes ", of("total", "planes")),
        ("!raw", of("clean", "daily", "planes", "total", "shop.report")),
        ("tag:pii,!raw", of("clean")),
        ("!+total", of("shop.report")),
        ("*", of("raw", "clean", "daily", "planes", "total", "shop.report")),
        ("shop.*", of("shop.report")),
        ("raw[2024-*],!raw[2024-01-01]", {"raw[2024-01-02]"}),
        ("raw,clean", set()),
        ("state:failed", set()),
    ],
)
def test_select(expression: str, expected: set[str]) -> None:
    assert chosen(expression) == expected


@pytest.mark.parametrize(
    ("expression", "error", "hint"),
    [
        ("raww", "Expected an asset, found 'raww'", "did you mean 'raw'?"),
        ("", "found nothing", "write orders"),
        ("raw,", "Expected a selection", "write orders"),
        ("!", "Expected a selection", "write orders"),
        ("raw[2024-01-03]", "Expected a partition of raw", "did you mean '2024-01-0"),
        ("planes[x]", "Expected a partition of planes", "it has no partitions"),
        ("raw[]", "between the brackets", "write orders"),
        ("raw[", "Expected a selection", "write orders"),
        ("raw]x", "Expected a selection", "write orders"),
        ("raw[%zz]", "two hex digits", "%25"),
        ("raw@3", "found a version", "leave out"),
        ("tag:pi", "Expected a tag", "did you mean 'pii'?"),
        ("group:x", "Expected a group", "there are: billing, static"),
        ("state:stael", "Expected a state", "did you mean 'stale'?"),
        ("x:y", "Expected an asset", "there are: clean, daily"),
        ("2+raw+x", "Expected a selection", "write orders"),
    ],
)
def test_select_refuses(expression: str, error: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        chosen(expression)
    assert error in caught.value.error
    assert hint in caught.value.hint


def test_units_of_archived_assets_are_selected_by_name() -> None:
    assert select("gone", GRAPH, [*UNITS, ("gone", "")], lambda *_: "fresh") == {("gone", "")}
    assert select("+gone+", GRAPH, [*UNITS, ("gone", "")], lambda *_: "fresh") == {("gone", "")}
