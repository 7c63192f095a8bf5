"""A mapping that is a dict from its second entry on."""

import pytest

from afresh.assets.planner.content import Columns
from afresh.assets.planner.slim import Slim


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_it_holds_what_a_dict_would(count: int) -> None:
    wanted = {f"k{number}": number for number in range(count)}
    slim = Slim(wanted.items())
    assert list(slim.items()) == list(wanted.items())
    assert list(slim.values()) == list(wanted.values())
    assert [slim.get(key) for key in (*wanted, "other")] == [*wanted.values(), None]
    assert list(slim) == list(wanted)
    assert len(slim) == len(wanted)
    assert {key: slim[key] for key in slim} == wanted
    with pytest.raises(KeyError):
        slim["other"]


@pytest.mark.parametrize("count", [1, 2])
def test_an_entry_is_replaced_and_forgotten(count: int) -> None:
    slim = Slim((f"k{number}", number) for number in range(count))
    slim["k0"] = 9
    assert slim.get("k0") == 9
    del slim["k0"]
    assert slim.get("k0") is None
    assert list(slim.items()) == [(f"k{number}", number) for number in range(1, count)]
    with pytest.raises(KeyError):
        del slim["k0"]
    slim["again"] = 1
    assert slim.get("again") == 1


@pytest.mark.parametrize("hashes", [{}, {"a": "1"}, {"a": "1", "b": "2"}])
def test_columns_are_as_they_were(hashes: dict[str, str]) -> None:
    columns = Columns.of(hashes)
    assert {name: columns[name] for name in columns.keys()} == hashes  # noqa: SIM118 - no mapping
    assert columns.get("other") == ""


def test_versions_with_the_same_columns_share_their_names() -> None:
    one, other = Columns.of({"a": "1", "b": "2"}), Columns.of({"a": "3", "b": "4"})
    assert one.names is other.names
