"""The paths of a key: most have one, which stands alone."""

from afresh.sensors.key_paths import KeyPaths


def test_a_path_alone_has_no_rivals() -> None:
    paths = KeyPaths()
    paths.add("a.csv", "a")
    paths.add("a.csv", "a")
    paths.add("b.csv", "b")
    assert paths.rivals("a.csv", "a", 9) == []
    assert paths.rivals("other", "unknown", 9) == []


def test_rivals_are_the_others_of_the_key_as_many_as_asked_for() -> None:
    paths = KeyPaths()
    for path in ("a.csv", "a.csv.gz", "a.csv.xz"):
        paths.add(path, "a")
    assert paths.rivals("a.csv", "a", 9) == ["a.csv.gz", "a.csv.xz"]
    assert paths.rivals("a.csv", "a", 1) == ["a.csv.gz"]
    assert len(paths.rivals("not there", "a", 9)) == 3


def test_what_is_gone_is_no_rival() -> None:
    paths = KeyPaths()
    for path in ("a.csv", "a.csv.gz", "a.csv.xz"):
        paths.add(path, "a")
    paths.discard("a.csv.gz", "a")
    assert paths.rivals("a.csv", "a", 9) == ["a.csv.xz"]
    paths.discard("a.csv.xz", "a")
    paths.discard("a.csv.xz", "a")
    assert paths.rivals("a.csv", "a", 9) == []
    assert paths.rivals("other", "a", 9) == ["a.csv"]
    paths.discard("a.csv", "a")
    assert paths.rivals("other", "a", 9) == []
