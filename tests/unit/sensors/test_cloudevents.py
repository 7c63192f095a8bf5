import json
from typing import Any

import pytest

from afresh.sensors.cloudevents import CloudEvent, from_http, from_json, to_json

MINIMAL: dict[str, Any] = {
    "specversion": "1.0",
    "id": "minimal",
    "type": "dev.afresh.test",
    "source": "https://afresh.dev",
}


def structured(**changes: Any) -> CloudEvent:
    return from_json(json.dumps({**MINIMAL, **changes}).encode())


def test_what_is_no_cloudevent_is_none() -> None:
    assert from_http({"content-type": "application/json"}, b"{}") is None
    assert from_http({}, b"") is None


@pytest.mark.parametrize("media", ["application/json", "application/json; charset=utf-8"])
def test_binary_mode(media: str) -> None:
    headers = {
        "host": "example.com",
        "content-type": media,
        "ce-specversion": "1.0",
        "ce-type": "com.example.some",
        "ce-time": "2018-04-05T03:56:24Z",
        "ce-id": "1234",
        "ce-source": "/my/context",
        "ce-subject": "Euro%20%E2%82%AC %F0%9F%98%80",
        "ce-quoted": '"a \\"b\\""',
    }
    events = from_http(headers, b'{"a":1}')
    assert events is not None
    (event,) = events
    assert event.attributes == {
        "specversion": "1.0",
        "type": "com.example.some",
        "time": "2018-04-05T03:56:24Z",
        "id": "1234",
        "source": "/my/context",
        "subject": "Euro \u20ac \U0001f600",
        "quoted": 'a "b"',
        "datacontenttype": media,
    }
    assert event.data == b'{"a":1}'
    assert event.key == "ce:/my/context 1234"
    with pytest.raises(ValueError, match="'id'"):
        from_http({**headers, "ce-id": ""}, b"")
    with pytest.raises(ValueError, match="percent-encoded"):
        from_http({**headers, "ce-subject": "%ff"}, b"")


@pytest.mark.parametrize("rest", ["", "; charset=utf-8"])
def test_structured_mode(rest: str) -> None:
    body = json.dumps({**MINIMAL, "data": {"a": [1, 2.50]}}).encode()
    events = from_http({"content-type": f"Application/CloudEvents+json{rest}"}, body)
    assert events is not None
    assert json.loads(events[0].data or b"") == {"a": [1, 2.5]}


def test_a_batch() -> None:
    body = json.dumps([MINIMAL, {**MINIMAL, "id": "other"}]).encode()
    events = from_http({"content-type": "application/cloudevents-batch+json"}, body)
    assert events is not None
    assert [event.attributes["id"] for event in events] == ["minimal", "other"]
    assert from_http({"content-type": "application/cloudevents-batch+json"}, b"[]") == []
    for bad in (
        b"{}",
        b'["x"]',
        json.dumps([MINIMAL, {**MINIMAL, "specversion": "0.9"}]).encode(),
        json.dumps([{**MINIMAL, "id": None}]).encode(),
        b"[{]",
        b"\xff",
    ):
        with pytest.raises(ValueError, match="Expected"):
            from_http({"content-type": "application/cloudevents-batch+json"}, bad)


def test_another_encoding_is_refused() -> None:
    with pytest.raises(ValueError, match="as JSON"):
        from_http({"content-type": "application/cloudevents+avro"}, b"")


@pytest.mark.parametrize(
    "good",
    [
        {},
        {"datacontenttype": None, "dataschema": None, "subject": None, "time": None},
        {"time": "2018-04-05T17:31:00.000000000Z"},
        {"time": "2018-04-05T18:31:00+01:00"},
        {"time": "2016-12-31T23:59:60Z"},
        {"source": "#fragment"},
        {"extinteger": 10, "extboolean": True, "extstring": "text", "extbinary": "TWE="},
    ],
)
def test_what_the_rules_allow(good: dict[str, Any]) -> None:
    event = structured(**good)
    assert set(event.attributes) == {
        name for name, value in {**MINIMAL, **good}.items() if value is not None
    }
    if "extboolean" in good:
        assert (event.attributes["extinteger"], event.attributes["extboolean"]) == ("10", "true")


@pytest.mark.parametrize(
    "bad",
    [
        {"specversion": None},
        {"id": None},
        {"type": None},
        {"source": None},
        {"specversion": ""},
        {"specversion": "0.9"},
        {"id": ""},
        {"type": ""},
        {"source": ""},
        {"subject": ""},
        {"dataschema": ""},
        {"datacontenttype": ""},
        {"datacontenttype": "xyz"},
        {"id": 25},
        {"id": {"x": "y"}},
        {"MyExtension": "bad"},
        {"my.extension": "bad"},
        {"extension": 1.5},
        {"extension": ["x"]},
        {"time": "lunchtime"},
        {"time": "2018-04-05T18:31Z"},
        {"time": "2018-04-05T18:31:00X"},
        {"time": "2018-04-05T18:31:00+25:00"},
        {"time": "2018-04-05T18:31:00+05"},
        {"time": "2018-02-30T18:31:00Z"},
        {"data": "text", "data_base64": "dGV4dA=="},
        {"data_base64": "%"},
        {"data_base64": 7},
    ],
)
def test_what_the_rules_forbid(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Expected"):
        structured(**bad)


def test_data_is_the_bytes_that_were_meant() -> None:
    assert from_json(json.dumps(MINIMAL).encode()).data is None
    assert structured(data=None).data is None
    assert structured(data="x").data == b'"x"'
    assert structured(data="x", datacontenttype="text/plain").data == b"x"
    assert structured(data={"a": 1}, datacontenttype="application/vnd.x+json").data is not None
    assert structured(data_base64="AP8=", datacontenttype="x/y").data == b"\x00\xff"
    # Numbers stay as they are written: a float could not hold this one.
    data = b'{"n":12345678901234567890.5}'
    raw = b'{"id":"1","source":"s","type":"t","specversion":"1.0","data":' + data + b"}"
    assert from_json(raw).data == data


def test_what_is_written_can_be_read() -> None:
    attributes = {"id": "1", "source": "s", "type": "t", "subject": "x"}
    text = to_json(attributes, {"a": "\n"})
    assert b"\n" not in text
    event = from_json(text)
    assert event.attributes == {"specversion": "1.0", **attributes}
    assert event.data == b'{"a":"\\n"}'


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(MINIMAL).replace("minimal", "\\ud800").encode(),
        json.dumps(MINIMAL).encode()[:-1] + b',"data":"\\ud800","datacontenttype":"text/plain"}',
        json.dumps(MINIMAL).encode()[:-1] + b',"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"[" * 100_000,
    ],
)
def test_text_that_no_parser_takes_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="Expected"):
        from_json(text)
    with pytest.raises(ValueError, match="Expected"):
        from_http({"content-type": "application/cloudevents-batch+json"}, b"[" + text + b"]")
