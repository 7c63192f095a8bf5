from collections.abc import Callable
from functools import wraps

import pytest

from afresh.assets.declare import asset, collecting, source
from afresh.assets.errors import DefinitionError
from afresh.sensors import files


def test_the_function_stays_as_it_is() -> None:
    def double(x: int) -> int:
        return 2 * x

    assert asset(double) is double
    assert asset(name="other", retries=2)(double) is double


def test_declarations_are_collected_with_their_place() -> None:
    with collecting() as registry:
        flights = source("flights", files("landing/{day}.csv"), owner="me")

        @asset
        def one(flights: int) -> int:
            return flights

        @asset(name="two.b", deps={"x": flights}, tags=["a"])
        def two(x: int) -> int:
            return x

    assert registry.sources == [flights]
    assert flights.owner == "me"
    assert flights.module == __name__
    assert [d.function for d in registry.functions] == [one, two]
    assert registry.functions[1].deps == {"x": flights}
    first = registry.functions[0]
    assert (first.file, first.line) == (__file__, one.__code__.co_firstlineno)


def test_outside_of_collecting_nothing_is_kept() -> None:
    with collecting() as registry:
        pass
    source("flights", files("landing/{day}.csv"))
    assert registry.sources == []


def test_the_place_of_a_wrapped_function_is_its_own() -> None:
    def plain(function: Callable[[], int]) -> Callable[[], int]:
        @wraps(function)
        def inner() -> int:
            return function()

        return inner

    with collecting() as registry:

        @asset
        @plain
        def wrapped() -> int:
            return 1

    inner = wrapped.__wrapped__  # type: ignore[attr-defined]
    assert registry.functions[0].line == inner.__code__.co_firstlineno


def test_a_name_without_its_keyword_is_refused() -> None:
    with pytest.raises(DefinitionError) as caught:
        asset("orders")  # type: ignore[call-overload]
    assert 'asset(name="orders")' in caught.value.hint
