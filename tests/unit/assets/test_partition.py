from time import process_time

import pytest

from afresh.assets.errors import DefinitionError, UsageError
from afresh.assets.partition import (
    Pattern,
    Ref,
    decode_key,
    encode_key,
    format_ref,
    is_temporary,
    parse_ref,
)


@pytest.mark.parametrize(
    ("pattern", "path", "key"),
    [
        ("landing/{day}.csv", "landing/2024-01-02.csv", "2024-01-02"),
        ("landing/{day}.csv", "landing/2024-01-02.csv.gz", "2024-01-02"),
        ("landing/{day}.csv", "landing/2024-01-02.csv.zst", "2024-01-02"),
        ("landing/{day}.csv.gz", "landing/2024-01-02.csv.gz", "2024-01-02"),
        ("landing/{day}.csv.gz", "landing/2024-01-02.csv", None),
        ("landing/{day}.csv", "landing/x/2024.csv", None),
        ("landing/{day}.csv", "landing/../2024.csv", None),
        ("landing/{day}.csv", "landing/.2024.csv", None),
        ("landing/{day}.csv", "landing/.csv", None),
        ("landing/{day}.csv", "other/2024.csv", None),
        ("landing/{day}.csv", "landing/2024.csvx", None),
        ("landing/{day}.csv", "landing/a\n.csv", "a%0A"),
        ("landing/{day}.csv", "landing/a,b.csv", "a%2Cb"),
        ("landing/{day}.csv", "landing/%2e.csv", "%252e"),
        ("landing/{day}.csv", "landing/a\udcff.csv", "a%FF"),
        ("landing/{day}.csv", "landing/a\u200fb.csv", "a\u200fb"),
        ("landing/{day}/{region}.csv", "landing/2024/eu.csv", "2024,eu"),
        ("landing/{day}/{region}.csv", "landing/../eu.csv", None),
        ("landing/{day}/{region}.csv", "landing/.git/eu.csv", None),
        ("{day}/{region}-{day}.csv", "1/eu-1.csv", "1,eu"),
        ("{day}/{region}-{day}.csv", "1/eu-2.csv", None),
        ("planes.csv", "planes.csv", ""),
        ("planes.csv", "planes.csv.xz", ""),
        ("in/*.csv", "in/a.csv", ""),
        ("in/**/{n}.csv", "in/n.csv", "n"),
        ("in/**/{n}.csv", "in/a/b/n.csv", "n"),
        ("in/**/{n}.csv", "in/a/.afresh/n.csv", None),
        ("in/**/{n}.csv", "in/a/../n.csv", None),
        ("in/{name}", "in/a.csv.part", None),
        ("in/{name}", "in/a.tmp", None),
        ("in/{name}", "in/a.csv~", None),
        ("in/{name}", "in/a.csv.gz", "a.csv"),
        ("in/d?.csv", "in/d1.csv", ""),
        ("in/(x)+{n}.csv", "in/(x)+1.csv", "1"),
    ],
)
def test_match(pattern: str, path: str, key: str | None) -> None:
    assert Pattern.parse(pattern).match(path) == key


@pytest.mark.parametrize(
    ("text", "root", "recursive", "captures"),
    [
        ("landing/{day}.csv", "landing", False, ("day",)),
        ("./landing/{day}.csv", "landing", False, ("day",)),
        ("a/b/{day}/{r}.csv", "a/b", True, ("day", "r")),
        ("planes.csv", "", False, ()),
        ("{a}/{b}-{a}.csv", "", True, ("a", "b")),
        ("in/**/{n}.csv", "in", True, ("n",)),
        ("in/**", "in", True, ()),
    ],
)
def test_parse(text: str, root: str, recursive: bool, captures: tuple[str, ...]) -> None:
    pattern = Pattern.parse(text)
    assert (pattern.root, pattern.recursive, pattern.captures) == (root, recursive, captures)


@pytest.mark.parametrize(
    "text",
    [
        "/etc/{x}.csv",
        "../{x}.csv",
        "a/../{x}.csv",
        "",
        "a//{x}.csv",
        "a/",
        "a/./b.csv",
        "{x}.tmp",
        ".{x}",
        "{a}{b}.csv",
        "{a}*.csv",
        "{1a}.csv",
        "{}.csv",
        "{a.csv",
        "a}.csv",
        "a**/b.csv",
        "a\n{x}.csv",
    ],
)
def test_parse_refuses(text: str) -> None:
    with pytest.raises(DefinitionError):
        Pattern.parse(text)


def test_values() -> None:
    pattern = Pattern.parse("landing/{day}/{region}.csv")
    assert pattern.values("2024,e%2Cu") == {"day": "2024", "region": "e,u"}
    with pytest.raises(UsageError, match="2 part"):
        pattern.values("2024")


def test_keys() -> None:
    assert encode_key([]) == ""
    assert decode_key("") == ()
    assert encode_key(["a%,[]@*b", "\x1b[0m"]) == "a%25%2C%5B%5D%40%2Ab,%1B%5B0m"
    assert encode_key(["\u2028"]) == "%E2%80%A8"
    assert decode_key("a%2cb,%C3%A9") == ("a,b", "é")


@pytest.mark.parametrize("key", ["%", "a%2", "%zz", ",", "a,", "a%%41"])
def test_decode_key_refuses(key: str) -> None:
    with pytest.raises(UsageError):
        decode_key(key)


def test_encode_refuses_what_no_file_name_holds() -> None:
    with pytest.raises(UsageError):
        encode_key(["\ud800"])
    with pytest.raises(UsageError):
        encode_key([""])


def test_temporary() -> None:
    assert [n for n in (".a", "a~", "a.part", "a.tmp", "a.csv", "part") if is_temporary(n)] == [
        ".a",
        "a~",
        "a.part",
        "a.tmp",
    ]


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("orders", Ref("orders")),
        ("shop.orders", Ref("shop.orders")),
        ("orders[2024-01-02]", Ref("orders", "2024-01-02")),
        ("orders@12", Ref("orders", None, 12)),
        ("orders[eu,2024-01-02]@12", Ref("orders", "eu,2024-01-02", 12)),
        ("orders@v1.4", Ref("orders", None, "v1.4")),
        ("orders@latest", Ref("orders", None, "latest")),
        ("orders[a%2cb]", Ref("orders", "a%2Cb")),
        ("orders[a b]", Ref("orders", "a b")),
    ],
)
def test_parse_ref(text: str, ref: Ref) -> None:
    assert parse_ref(text) == ref


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1a",
        "orders[]",
        "orders[a",
        "orders[a]]",
        "orders@",
        "orders@0",
        "orders@01",
        "orders@-1",
        "orders@9999999999999999999",
        "orders@1x",
        "orders[*]",
        "orders[a@b]",
        "orders[a,]",
        "orders[%]",
        "orders\n",
        "örders",
        "a..b",
    ],
)
def test_parse_ref_refuses(text: str) -> None:
    with pytest.raises(UsageError):
        parse_ref(text)


def test_format_ref() -> None:
    assert format_ref("a", "") == "a"
    assert format_ref("a", None, "latest") == "a@latest"
    assert format_ref("a", "k,l", 3) == "a[k,l]@3"


def test_a_hostile_name_costs_no_time() -> None:
    pattern = Pattern.parse("in/{a}-{b}-{c}-{d}-{e}-{f}_{g}.csv")
    started = process_time()
    for _ in range(100):
        assert pattern.match("in/" + "-" * 251 + ".csv") is None
    # Tried every way, one of them alone would take hours.
    assert process_time() - started < 2
