"""How the simulator says what it found."""


class Found(AssertionError):
    """The planner did what it must not do."""


def expect(truth: bool, text: str, *details: object) -> None:
    """Raise Found unless it is true."""
    if not truth:
        raise Found(text + ": " + ", ".join(map(repr, details)))
