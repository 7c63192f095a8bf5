import hashlib
import hmac

import pytest

from afresh.sensors.webhooks.rate import Bucket, per_second
from afresh.sensors.webhooks.signature import FORMS, Forged, Form, secret_bytes, sign, verify

NOW = 1_800_000_000.0
BODY = b'{"id": "evt_1"}'


def check(form: Form, headers: dict[str, str], body: bytes = BODY, now: float = NOW) -> bytes:
    return verify(form, [b"old", b"right"], headers, body, now=now, tolerance_seconds=300).digest


@pytest.mark.parametrize("name", FORMS)
def test_what_is_signed_is_taken_and_nothing_else(name: str) -> None:
    form = FORMS[name]
    headers = sign(form, b"right", BODY, at=NOW, key="k")
    assert check(form, headers)
    assert check(form, sign(form, b"old", BODY, at=NOW, key="k"))
    with pytest.raises(Forged, match="another"):
        check(form, headers, BODY + b" ")
    with pytest.raises(Forged, match="another"):
        check(form, sign(form, b"wrong", BODY, at=NOW, key="k"))
    with pytest.raises(Forged, match="none"):
        check(form, {})
    for text in ("", "garbage", form.label, form.label + "zz", f"{form.label}{'00' * 32}"):
        with pytest.raises(Forged):
            check(form, {**headers, form.signature: text})


def test_the_forms_are_those_of_the_senders() -> None:
    digest = hmac.new(b"right", b"1800000000." + BODY, hashlib.sha256).hexdigest()
    own = {"x-afresh-timestamp": "1800000000", "x-afresh-signature": f"sha256={digest}"}
    assert check(FORMS["afresh"], own)
    assert check(FORMS["stripe"], {"stripe-signature": f"t=1800000000,v0=00,v1={digest}"})
    digest = hmac.new(b"right", BODY, hashlib.sha256).hexdigest()
    assert check(FORMS["github"], {"x-hub-signature-256": f"sha256={digest}"})


def test_the_example_of_standard_webhooks_is_taken() -> None:
    # The example of the specification's reference libraries.
    form = FORMS["standard"]
    secret = secret_bytes(form, b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    body = b'{"test": 2432232314}'
    found = verify(form, [secret], headers, body, now=1614265330.0, tolerance_seconds=300)
    assert found.at == 1614265330.0
    headers["webhook-id"] = "msg_other"
    with pytest.raises(Forged):
        verify(form, [secret], headers, body, now=1614265330.0, tolerance_seconds=300)


@pytest.mark.parametrize("name", ["afresh", "standard", "stripe"])
def test_what_is_old_or_to_come_is_refused(name: str) -> None:
    form = FORMS[name]
    headers = sign(form, b"right", BODY, at=NOW, key="k")
    assert check(form, headers, now=NOW + 299)
    assert check(form, headers, now=NOW - 299)
    for now in (NOW + 302, NOW - 302):
        with pytest.raises(Forged, match="within 300 s"):
            check(form, headers, now=now)


@pytest.mark.parametrize("stamp", ["", "nan", "1e9", "-5", "x" * 99, "١٢٣"])
def test_a_time_that_is_none_is_refused(stamp: str) -> None:
    digest = hmac.new(b"right", f"{stamp}.".encode() + BODY, hashlib.sha256).hexdigest()
    headers = {"x-afresh-timestamp": stamp, "x-afresh-signature": f"sha256={digest}"}
    with pytest.raises(Forged):
        check(FORMS["afresh"], headers)


def test_a_bucket_gives_as_many_tokens_as_time_brings() -> None:
    bucket = Bucket(per_second("120/m"), 0.0)
    assert [bucket.take(1, 0.0) for _ in range(2)] == [0.0, 0.0]
    assert bucket.take(1, 0.0) == 0.5
    assert bucket.take(1, 0.5) == 0.0
    assert bucket.take(1, 0.75) == 0.25
    assert bucket.take(50, 99.0) == 0.0  # more than it holds, when it is full
    assert bucket.take(1, 98.0) > 0  # a clock that goes back brings none


@pytest.mark.parametrize("text", ["", "0/s", "5", "5/d", "-1/s", 5, None])
def test_what_is_no_rate_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="Expected a rate"):
        per_second(text)
