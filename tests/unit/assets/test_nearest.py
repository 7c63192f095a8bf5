from afresh.assets.nearest import did_you_mean, nearest


def test_nearest() -> None:
    assert nearest("flihgts", ["planes", "flights"]) == "flights"
    assert nearest("FLIGHTS", ["Flights"]) == "Flights"
    assert nearest("xyzzy", ["planes", "flights"]) == ""


def test_hint() -> None:
    assert did_you_mean("plane", ["planes"]) == "did you mean 'planes'?"
    assert did_you_mean("x", ["planes"], "else") == "else"
