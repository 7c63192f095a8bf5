"""What S3 says in a message, in each of its forms."""

import json
from typing import Any

import pytest

from afresh.sensors.buckets.messages import objects_of


def s3_event(*keys: str, name: str = "ObjectCreated:Put") -> dict[str, Any]:
    return {
        "Records": [
            {
                "eventSource": "aws:s3",
                "eventName": name,
                "s3": {"bucket": {"name": "lake"}, "object": {"key": key, "eTag": "x", "size": 1}},
            }
            for key in keys
        ]
    }


def sns(message: dict[str, Any]) -> dict[str, Any]:
    return {"Type": "Notification", "TopicArn": "arn:x", "Message": json.dumps(message)}


EVENT_BRIDGE = {
    "version": "0",
    "source": "aws.s3",
    "detail-type": "Object Created",
    "detail": {"bucket": {"name": "lake"}, "object": {"key": "a b/+.csv", "size": 1}},
}


@pytest.mark.parametrize(
    ("message", "paths"),
    [
        (s3_event("days/1.csv", "days/2.csv"), ["lake/days/1.csv", "lake/days/2.csv"]),
        (s3_event("a+b/%C3%BC%2B%252F.csv"), ["lake/a b/ü+%2F.csv"]),
        (s3_event("x.csv", name="ObjectRemoved:Delete"), ["lake/x.csv"]),
        (sns(s3_event("x.csv")), ["lake/x.csv"]),
        (sns(EVENT_BRIDGE), ["lake/a b/+.csv"]),
        (EVENT_BRIDGE, ["lake/a b/+.csv"]),
        ({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "lake"}, []),
        (sns({"Event": "s3:TestEvent"}), []),
        ({"Records": []}, []),
        ({"Records": [{"eventSource": "other"}]}, []),
    ],
)
def test_each_form_is_read(message: dict[str, Any], paths: list[str]) -> None:
    assert objects_of(json.dumps(message)) == paths


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no json",
        "[]",
        "3",
        "null",
        "{}",
        '{"Records": 3}',
        '{"Records": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"Records": [{"s3": {}}]}',
        '{"Records": [{"s3": null}]}',
        '{"source": "aws.s3", "detail": {}}',
        '{"source": "aws.ec2", "detail": {}}',
        '{"Type": "Notification", "Message": "no json"}',
        json.dumps(sns(sns(sns(s3_event("x"))))),
    ],
)
def test_anything_else_is_none_of_s3s(body: str) -> None:
    assert objects_of(body) is None
