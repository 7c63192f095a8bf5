from afresh.assets.nearest import MOST_NAMES, did_you_mean, nearest


def test_nearest() -> None:
    assert nearest("flihgts", ["planes", "flights"]) == "flights"
    assert nearest("FLIGHTS", ["Flights"]) == "Flights"
    assert nearest("xyzzy", ["planes", "flights"]) == ""


def test_hint() -> None:
    assert did_you_mean("plane", ["planes"]) == "did you mean 'planes'?"
    assert did_you_mean("x", ["planes"], "else") == "else"


def test_of_very_many_names_some_are_compared() -> None:
    names = iter(f"2024-{number:07}" for number in range(MOST_NAMES + 5))
    assert nearest("2024-0000001x", names) == "2024-0000001"
    assert len(list(names)) == 5
