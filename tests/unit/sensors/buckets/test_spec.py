"""`bucket(...)` as declared: what is refused, and that no secret is anywhere in it."""

from typing import Any

import msgspec
import pytest

from afresh.assets.errors import DefinitionError, SensorError, UsageError
from afresh.sensors import bucket, env, secret_file
from afresh.sensors.buckets.options import as_plain, check_options, hidden, resolve, secrets_in
from afresh.sensors.buckets.url import object_path, object_uri, split_url


def test_a_bucket_is_declared() -> None:
    spec = bucket(
        "s3://lake/flights/{day}.parquet",
        options={"a": 1},
        key_columns=True,
        storage_options={"endpoint_url": "http://127.0.0.1:1", "key": env("KEY")},
        interval=5,
        notifications="sqs://flights",
    )
    declared = spec.declared()
    assert declared.sensor.kind == "bucket"
    assert declared.sensor.options == {
        "protocol": "s3",
        "pattern": "lake/flights/{day}.parquet",
        "interval_seconds": 5.0,
        "notifications": "sqs://flights",
        "storage_options": {
            "endpoint_url": "http://127.0.0.1:1",
            "key": {"$secret": {"env": "KEY"}},
        },
    }
    assert declared.captures == ("day",)
    assert not declared.stream


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (bucket("flights/{day}.csv"), "URL of objects"),
        (bucket("s3://"), "URL of objects"),
        (bucket("s4://lake/{day}.csv"), "a store that fsspec knows, found 's4://'"),
        (bucket(3), "URL of objects"),  # type: ignore[arg-type]
        (bucket("s3://{lake}/x.csv"), "a bucket and a name"),
        (bucket("s3://lake"), "a bucket and a name"),
        (bucket("s3://key:word@lake/x.csv"), "without credentials"),
        (bucket("file://data/{day}.csv"), "absolute path"),
        (bucket("s3://lake/x.csv", key_columns=True), "captures"),
        (bucket("s3://lake/../x.csv"), "path pattern"),
        (bucket("s3://lake/x.csv", interval=0), "interval"),
        (bucket("s3://lake/x.csv", interval=True), "interval"),
        (bucket("s3://lake/x.csv", interval=float("nan")), "interval"),
        (bucket("s3://lake/x.csv", notifications="kafka://x"), "sqs: or webhook:"),
        (bucket("s3://lake/x.csv", notifications="sqs://"), "sqs: or webhook:"),
        (bucket("s3://lake/x.csv", notifications="webhook:hooks"), "sqs: or webhook:"),
        (bucket("gs://lake/x.csv", notifications="sqs://q"), "by a webhook"),
        (bucket("s3://lake/x.csv", options={"a": []}), "plain values"),  # type: ignore[dict-item]
        (bucket("s3://lake/x.csv", storage_options={"a": []}), "plain values"),
        (bucket("s3://lake/x.csv", storage_options=["x"]), "as a dict"),  # type: ignore[arg-type]
    ],
)
def test_wrong_buckets_are_refused(spec: Any, message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        spec.declared()


@pytest.mark.parametrize(
    "options",
    [
        {"key": "AKIA-hush"},
        {"secret": "hush"},
        {"token": "hush"},
        {"password": "hush"},
        {"account_key": "hush"},
        {"connection_string": "AccountKey=hush"},
        {"sas_token": "hush"},
        {"client_kwargs": {"aws_secret_access_key": "hush"}},
        {"client_kwargs": {"aws_access_key_id": "hush"}},
        {"client_secret": "hush"},
    ],
)
def test_a_secret_is_refused_and_not_shown(options: dict[str, object]) -> None:
    with pytest.raises(DefinitionError, match="Expected no secret") as caught:
        check_options(options)
    assert "hush" not in str(caught.value)
    assert "env(" in caught.value.hint


@pytest.mark.parametrize(
    "options",
    [
        {"anon": True, "endpoint_url": "http://x", "profile": "lake"},
        {"client_kwargs": {"region_name": "eu-west-1"}},
        {"token": "anon"},
        {"token": "google_default"},
        {"key": None},
        {"secret": env("SECRET"), "token": secret_file("/run/x")},
        {"account_name": "lake"},
    ],
)
def test_what_is_no_secret_is_plain(options: dict[str, object]) -> None:
    check_options(options)
    assert msgspec.json.decode(msgspec.json.encode(as_plain(options))) == as_plain(options)


def test_secrets_are_read_where_the_store_is_opened() -> None:
    plain = as_plain({"key": env("A"), "client_kwargs": {"x": env("B"), "y": 1}})
    environ = {"A": "one", "B": "two"}
    options = resolve(plain, environ)
    assert options == {"key": "one", "client_kwargs": {"x": "two", "y": 1}}
    assert secrets_in(plain, options) == ["one", "two"]
    with pytest.raises(SensorError, match="environment variable A"):
        resolve(plain, {})


def test_of_two_secrets_the_longer_is_hidden_whole() -> None:
    assert hidden("with abcdef and abc", ["abc", "abcdef"]) == "with *** and ***"


@pytest.mark.parametrize("path", ["lake/a b/ü.csv", "lake/a%2Fb,c[1]@*.csv", "lake/a?b#c", "l//x"])
@pytest.mark.parametrize("protocol", ["s3", "file"])
def test_an_objects_url_is_read_back(path: str, protocol: str) -> None:
    uri = object_uri(protocol, path)
    assert not set(uri.partition("://")[2]) & set("?#,[]@*")
    assert object_path(uri) == path
    assert uri.startswith("file:///l" if protocol == "file" else "s3://l")


def test_a_url_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError):
        object_path("lake/x")


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("S3A://lake/x", ("s3", "lake/x")),
        ("gcs://lake/x", ("gs", "lake/x")),
        ("abfs://lake/x", ("az", "lake/x")),
        ("local:///lake/x", ("file", "lake/x")),
        ("memory://lake/x", ("memory", "lake/x")),
        ("ftp://lake/x", ("ftp", "lake/x")),
    ],
)
def test_a_store_has_one_name(url: str, found: tuple[str, str]) -> None:
    assert split_url(url) == found
