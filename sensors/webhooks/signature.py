"""Who called: signatures over time and body, in the forms that senders use.

| form | is signed | headers |
|---|---|---|
| `afresh` | `SECONDS.BODY` | `X-Afresh-Timestamp: SECONDS`, `X-Afresh-Signature: sha256=HEX`,
`Idempotency-Key: ID` |
| `standard` | `ID.SECONDS.BODY` | `webhook-id`, `webhook-timestamp: SECONDS`,
`webhook-signature: v1,BASE64` |
| `stripe` | `SECONDS.BODY` | `Stripe-Signature: t=SECONDS,v1=HEX`; the id is the body's `id` |
| `github` | `BODY` | `X-Hub-Signature-256: sha256=HEX`, `X-GitHub-Delivery: ID` |

Other headers are not signed, among them the depth and those of a CloudEvent in binary mode: TLS
keeps out who could change them on the way. A wrong depth stops an asset as a loop, visibly, or
hides one. What was signed once is not taken again under another key.

All are HMAC-SHA256. Several signatures, separated by commas or spaces, may be tried, so that a
sender can change its secret.
"""

import binascii
import hashlib
import hmac
from base64 import b64decode
from collections.abc import Mapping, Sequence

import msgspec

MOST_SIGNATURES = 16


class Forged(Exception):
    """A request is not what the sender signed, or too old; the text says which."""


class Form(msgspec.Struct, frozen=True):
    """How a sender signs. Names of headers are in lower case; "" where the form has none."""

    name: str
    signature: str
    timestamp: str
    key: str
    label: str
    signs_key: bool = False
    in_base64: bool = False
    field: str = ""
    """The field of a JSON body that holds the id."""
    headers: tuple[str, ...] = ()
    """Headers that are kept with the record."""

    @property
    def has_time(self) -> bool:
        """Whether the time is signed too."""
        return self.name != "github"


FORMS = {
    form.name: form
    for form in (
        Form("afresh", "x-afresh-signature", "x-afresh-timestamp", "idempotency-key", "sha256="),
        Form(
            "standard",
            "webhook-signature",
            "webhook-timestamp",
            "webhook-id",
            "v1,",
            signs_key=True,
            in_base64=True,
        ),
        Form("stripe", "stripe-signature", "", "", "v1=", field="id"),
        Form(
            "github",
            "x-hub-signature-256",
            "",
            "x-github-delivery",
            "sha256=",
            headers=("x-github-event",),
        ),
    )
}


class Signed(msgspec.Struct, frozen=True):
    """What a valid signature covers: a digest of it, and when it was made (None: not signed)."""

    digest: bytes
    at: float | None


def secret_bytes(form: Form, secret: bytes) -> bytes:
    """Give the key of a secret as it is written: that of `standard` is Base64 after `whsec_`."""
    if form.name == "standard" and secret.startswith(b"whsec_"):
        try:
            return b64decode(secret.removeprefix(b"whsec_"), validate=True)
        except binascii.Error:
            return secret
    return secret


def verify(
    form: Form,
    secrets: Sequence[bytes],
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: float,
    tolerance_seconds: float,
) -> Signed:
    """Check who signed, and that it was just now. Raises Forged."""
    stamp, given = _given(form, headers)
    message = body
    if form.has_time:
        prefix = f"{headers.get(form.key, '')}.{stamp}." if form.signs_key else f"{stamp}."
        message = prefix.encode() + body
    # All are compared, whatever the first says: how long it takes tells nothing.
    valid = False
    for secret in secrets:
        right = hmac.digest(secret, message, "sha256")
        for one in given:
            valid |= hmac.compare_digest(right, one)
    if not valid:
        raise Forged("Expected a signature of the shared secret, found another")
    at = _time(stamp) if form.has_time else None
    if at is not None and abs(now - at) > tolerance_seconds:
        raise Forged(
            f"Expected a time within {tolerance_seconds:g} s of now, found {now - at:+.0f} s"
        )
    return Signed(hashlib.sha256(message).digest(), at)


def sign(form: Form, secret: bytes, body: bytes, *, at: float, key: str = "") -> dict[str, str]:
    """Give the headers that `verify` takes, for senders in Python and for tests."""
    stamp = f"{at:.6f}".rstrip("0").rstrip(".") if form.name == "afresh" else str(int(at))
    message = body
    if form.has_time:
        prefix = f"{key}.{stamp}." if form.signs_key else f"{stamp}."
        message = prefix.encode() + body
    digest = hmac.digest(secret_bytes(form, secret), message, "sha256")
    if form.in_base64:
        text = form.label + binascii.b2a_base64(digest, newline=False).decode()
    else:
        text = form.label + digest.hex()
    if form.name == "stripe":
        text = f"t={stamp},{text}"
    headers = {form.signature: text}
    if form.timestamp:
        headers[form.timestamp] = stamp
    if form.key and key:
        headers[form.key] = key
    return headers


def _given(form: Form, headers: Mapping[str, str]) -> tuple[str, list[bytes]]:
    """Read the time and the signatures that a request has."""
    text = headers.get(form.signature, "")
    if not text:
        raise Forged(f"Expected a signature in the header {form.signature}, found none")
    separator = " " if form.in_base64 else ","
    parts = [part.strip() for part in text.split(separator)[:MOST_SIGNATURES]]
    stamp = headers.get(form.timestamp, "") if form.timestamp else ""
    if form.name == "stripe":
        stamp = next((part[2:] for part in parts if part.startswith("t=")), "")
    if form.has_time and not stamp:
        raise Forged("Expected the time of the signature, found none")
    found = []
    for part in parts:
        if part.startswith(form.label):
            value = part.removeprefix(form.label)
            try:
                found.append(b64decode(value) if form.in_base64 else bytes.fromhex(value))
            except ValueError:
                continue
    return stamp, found


def _time(stamp: str) -> float:
    if len(stamp) > 32 or not stamp.replace(".", "", 1).isdecimal() or not stamp.isascii():
        raise Forged(f"Expected seconds since 1970 as the time, found {stamp[:32]!r}")
    return float(stamp)
