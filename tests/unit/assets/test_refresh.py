"""What can stand in `refresh=`, how it is written back, and what is refused."""

import msgspec
import pytest

from afresh.assets.errors import DefinitionError
from afresh.assets.manifest import Function, Output
from afresh.assets.policy import (
    AllNew,
    AnyNew,
    Both,
    Cron,
    Debounce,
    Eager,
    Either,
    Every,
    Freshness,
    Manual,
    Policy,
    describe,
    holds,
    is_root,
)
from afresh.assets.refresh import (
    all_new,
    any_new,
    bind_inputs,
    cron,
    debounce,
    every,
    freshness,
    manual,
    read_policy,
)

POLICIES: list[tuple[object, Policy, str]] = [
    ("eager", Eager(), "eager"),
    (any_new(), Eager(), "eager"),
    ("manual", Manual(), "manual"),
    (manual(), Manual(), "manual"),
    (
        cron("0  6 * * *", tz="Europe/Berlin"),
        Cron("0 6 * * *", "Europe/Berlin"),
        'cron("0 6 * * *", tz="Europe/Berlin")',
    ),
    (
        cron("0 6 * * MON", jitter="30s", missed="none"),
        Cron("0 6 * * MON", "UTC", 30.0, "none"),
        'cron("0 6 * * MON", tz="UTC", jitter="30s", missed="none")',
    ),
    (every("15m"), Every(900.0), 'every("15m")'),
    (every(0.25, missed="all"), Every(0.25, 0.0, "all"), 'every("250ms", missed="all")'),
    (freshness("90s"), Freshness(90.0), 'freshness("90s")'),
    (
        debounce(quiet="5s", longest="1m", most=1000),
        Debounce(5.0, 60.0, 1000),
        'debounce(quiet="5s", longest="1m", most=1000)',
    ),
    (all_new("a", "b"), AllNew(("a", "b")), 'all_new("a", "b")'),
    (
        all_new("a", "b") | any_new("c"),
        Either(AllNew(("a", "b")), AnyNew(("c",))),
        'all_new("a", "b") | any_new("c")',
    ),
    (
        all_new("a") & (any_new("b") | any_new("c")),
        Both(AllNew(("a",)), Either(AnyNew(("b",)), AnyNew(("c",)))),
        'all_new("a") & (any_new("b") | any_new("c"))',
    ),
]


@pytest.mark.parametrize(("written", "policy", "text"), POLICIES, ids=[t for *_, t in POLICIES])
def test_policy_is_read_kept_and_written_back(written: object, policy: Policy, text: str) -> None:
    found = read_policy(written)
    assert found == policy
    assert describe(found) == text
    function = Function("f", (), (Output("f", "pandas"),), "c", refresh=found)
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(function), type=Function)
    assert kept == function


def test_manifest_of_before_there_were_policies_is_eager() -> None:
    old = {"name": "f", "inputs": [], "outputs": [], "code_key": "c", "refresh": "eager"}
    assert msgspec.convert(old, Function).refresh == Eager()


WRONG = {
    "cron expression": (cron("0 6 * *"), "Expected a cron expression, found '0 6 * *'"),
    "number": (cron(6), "Expected a cron expression, found 6"),  # type: ignore[arg-type]
    "no such day": (cron("0 0 30 2 *"), "Expected a cron expression"),
    "zone": (cron("0 6 * * *", tz="Berlin"), "Expected the name of an IANA time zone"),
    "zone path": (cron("0 6 * * *", tz="../etc/passwd"), "Expected the name of an IANA time zone"),
    "jitter": (every("1m", jitter="soon"), "Expected seconds, or a duration"),
    "period": (every(0), "Expected period of 0.1 seconds or more, found 0"),
    "missed": (every("1m", missed="some"), "Expected missed of 'none', 'last', 'all'"),  # type: ignore[arg-type]
    "goal": (freshness("soon"), "Expected seconds, or a duration"),
    "longest": (debounce(quiet="5m"), "Expected longest of at least quiet='5m'"),
    "most": (debounce(quiet=1, most=-1), "Expected most as a number of changes, found -1"),
    "names": (all_new(1), "Expected names of inputs in a condition, found 1"),  # type: ignore[arg-type]
    "inside": (all_new("a") | all_new(1), "Expected names of inputs in a condition"),  # type: ignore[arg-type]
    "word": ("eagre", "Expected refresh of 'eager'"),
    "uncalled": (manual, "Expected manual(...) in refresh=, found the function manual"),
    "text beside": (all_new("a") & "b", "Expected a condition after &, found 'b'"),  # type: ignore[operator]
    "schedule beside": (
        all_new("a") | every("1h"),  # type: ignore[operator]
        "Expected a condition after |, found every(...)",
    ),
}


@pytest.mark.parametrize("name", sorted(WRONG))
def test_wrong_policy_is_refused_when_it_is_read(name: str) -> None:
    written, error = WRONG[name]
    with pytest.raises(DefinitionError) as caught:
        read_policy(written)
    assert error in caught.value.error
    assert caught.value.hint


def test_conditions_name_inputs_by_parameter_or_asset() -> None:
    inputs = [("p", "lake.orders"), ("customers", "customers")]
    condition = AllNew(("lake.orders", "customers"))
    assert bind_inputs(condition, inputs) == AllNew(("p", "customers"))
    assert bind_inputs(Manual(), inputs) == Manual()
    with pytest.raises(DefinitionError, match="Expected an input in a condition"):
        bind_inputs(Either(condition, AnyNew(("orders",))), inputs)
    with pytest.raises(DefinitionError, match="Expected inputs for a condition"):
        bind_inputs(AllNew(), [])


def test_conditions_compose() -> None:
    inputs = ("a", "b", "c")
    condition = Either(AllNew(("a", "b")), AnyNew(("c",)))
    assert not holds(condition, {"a"}, inputs)
    assert holds(condition, {"a", "b"}, inputs)
    assert holds(condition, {"c"}, inputs)
    assert not holds(AllNew(), {"a", "b"}, inputs)
    assert holds(AllNew(), {"a", "b", "c"}, inputs)
    assert not holds(Both(AnyNew(("a",)), AnyNew(("b",))), {"a"}, inputs)


def test_which_policies_may_leave_an_asset_behind() -> None:
    assert [is_root(policy) for policy in (Eager(), Debounce(1, 2), Manual(), AllNew())] == [
        False,
        False,
        True,
        True,
    ]


def test_schedule_is_a_sensor_too() -> None:
    declared = every("15m", jitter="1s").declared()
    assert declared.stream
    assert declared.sensor.kind == "schedule"
    assert msgspec.convert(declared.sensor.options, Every) == Every(900.0, 1.0)
    with pytest.raises(DefinitionError):
        every("soon").declared()
