"""`webhook(...)`: a source that others call. A pure declaration."""

import re
from collections.abc import Mapping, Sequence

import msgspec

from afresh.assets.declare import Declared, Option
from afresh.assets.duration import seconds
from afresh.assets.errors import DefinitionError
from afresh.assets.manifest import Sensor
from afresh.sensors.secret import Secret, env
from afresh.sensors.webhooks.rate import per_second
from afresh.sensors.webhooks.signature import FORMS

_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
MOST_BYTES = 64 << 20
_FROM_PATH = Secret(env="")


class WebhookSpec(msgspec.Struct, frozen=True):
    """A webhook as `webhook(...)` was called; checked when the definitions load."""

    path: object
    secret: object
    signature: str
    tolerance: object
    remember: object
    max_bytes: object
    rate: object
    format: str
    options: Mapping[str, Option]
    key_header: str
    headers: Sequence[str]

    def declared(self) -> Declared:
        """Work it out. Raises DefinitionError for an option that cannot be."""
        if not isinstance(self.path, str) or not _PATH.fullmatch(self.path):
            raise DefinitionError(
                f"Expected a path of letters, digits and ._~- after slashes, found {self.path!r}",
                hint='write webhook("/hooks/orders")',
            )
        if self.signature not in FORMS:
            raise DefinitionError(
                f"Expected signature= one of {', '.join(FORMS)}, found {self.signature!r}",
                hint="the docstring of webhook says what each is",
            )
        if self.secret is None and self.signature != "afresh":
            raise DefinitionError(
                f"Expected a secret for signature={self.signature!r}, found None",
                hint='name it by secret=env("ORDERS_SECRET"), or leave signature out',
            )
        if not isinstance(self.max_bytes, int) or not 1 <= self.max_bytes <= MOST_BYTES:
            raise DefinitionError(
                f"Expected max_bytes from 1 to {MOST_BYTES}, found {self.max_bytes!r}",
                hint="write max_bytes=1_000_000",
            )
        tolerance = _seconds("tolerance", self.tolerance)
        remember = _seconds("remember", self.remember)
        if remember < 2 * tolerance:
            raise DefinitionError(
                f"Expected remember of twice the tolerance or more, found {self.remember!r}",
                hint="a call that is forgotten while its signature holds could be replayed",
            )
        options = {
            "path": self.path,
            "secrets": [msgspec.to_builtins(secret) for secret in self._secrets(self.path)],
            "signature": self.signature,
            "tolerance_seconds": tolerance,
            "remember_seconds": remember,
            "max_bytes": self.max_bytes,
            "rate": self._rate(),
            "key_header": self._header("key_header", self.key_header) if self.key_header else "",
            "headers": [self._header("headers", name) for name in self.headers],
        }
        return Declared(
            sensor=Sensor("webhook", options),
            format=self.format,
            options=dict(self.options),
            stream=True,
        )

    def _secrets(self, path: str) -> list[Secret]:
        if self.secret is None:
            return []
        if self.secret == _FROM_PATH:
            name = re.sub(r"[^A-Z0-9]+", "_", path.strip("/").upper())
            return [env(f"{name}_SECRET")]
        secrets: object = [self.secret] if isinstance(self.secret, Secret) else self.secret
        if isinstance(secrets, str) or not isinstance(secrets, Sequence) or not secrets:
            raise DefinitionError(
                "Expected the name of a secret, found something else",
                hint='write secret=env("ORDERS_SECRET"); a secret itself is never in the code',
            )
        for secret in secrets:
            if not isinstance(secret, Secret):
                raise DefinitionError(
                    f"Expected names of secrets, found a {type(secret).__name__}",
                    hint='write secret=[env("NEW_SECRET"), env("OLD_SECRET")]',
                )
        return list(secrets)

    def _rate(self) -> float | None:
        if self.rate is None:
            return None
        try:
            return per_second(self.rate)
        except ValueError as error:
            raise DefinitionError(str(error), hint='write rate="100/s", or None') from None

    def _header(self, option: str, name: object) -> str:
        if not isinstance(name, str) or not _HEADER.fullmatch(name):
            raise DefinitionError(
                f"Expected the name of a header as {option}, found {name!r}",
                hint='write key_header="X-Request-Id"',
            )
        if name.lower() in ("authorization", "cookie", FORMS[self.signature].signature):
            raise DefinitionError(
                f"Expected a header that is no secret as {option}, found {name!r}",
                hint="what identifies the caller is not kept",
            )
        return name.lower()


def _seconds(option: str, value: object) -> float:
    try:
        return seconds(value)
    except ValueError as error:
        raise DefinitionError(f"{error} as {option}", hint=f'write {option}="5m"') from None


def webhook(
    path: str,
    *,
    secret: Secret | Sequence[Secret] | None = _FROM_PATH,
    signature: str = "afresh",
    tolerance: float | str = "5m",
    remember: float | str = "3d",
    max_bytes: int = 1 << 20,
    rate: str | None = "1000/s",
    format: str = "json",  # noqa: A002 - the word users know
    options: Mapping[str, Option] | None = None,
    key_header: str = "",
    headers: Sequence[str] = (),
) -> WebhookSpec:
    """Take what others POST to a path of the daemon, once each.

    `source("orders", webhook("/hooks/orders"), schema=Order)` is a stream: each call adds the rows
    of its body, read by `format`. The daemon's HTTP server listens at the setting `http`
    (127.0.0.1:8787) as soon as there is a webhook; TLS is the business of a proxy before it.

    A call is signed with a shared secret. `secret` names it: `env("ORDERS_SECRET")`,
    `secret_file("/run/secrets/orders")`, or several while it is being changed; by default it is in
    the environment variable that the path gives (`/hooks/orders`: HOOKS_ORDERS_SECRET). With
    `secret=None` anybody may call, and a call without a key counts each time. Of the forms of
    `signature`, "afresh" is

        X-Afresh-Timestamp: seconds since 1970
        X-Afresh-Signature: sha256=HEX(HMAC-SHA256(secret, TIMESTAMP + "." + BODY))
        Idempotency-Key: what makes two deliveries one (or `key_header`)

    and "standard" (standardwebhooks.com), "stripe" and "github" are what those senders use. A
    signature older than `tolerance` is refused, as is one that comes back with another key.

    One delivery is recorded once, however often and at whatever times it comes within `remember`:
    repeated ones get the same answer, and `Idempotency-Replayed: true`. What makes it one is the
    idempotency key, of a CloudEvent (1.0: structured, binary or a batch) its source and id, and
    without either time and body. A key that comes with another body is refused.

    Answers: 202 recorded and durable, 400 no CloudEvent though it says so, 401 forged or too old,
    404 no such path, 405 not POST, 408 too slow, 413 above `max_bytes`, 422 a key with another
    body, 429 above `rate` ("100/s", "60/m"), 503 the ledger cannot be written at present. The last
    two say when to come again (`Retry-After`). Whoever has no 2xx delivers again: nothing is lost.

    `headers` lists headers to be kept with the record. A CloudEvent's data is the record, its
    attributes are headers `ce_id`, `ce_type` and so on. `options={"columns": "key,headers"}` makes
    columns of them: the key is what made the delivery one, headers are JSON, a list of pairs.
    """
    return WebhookSpec(
        path,
        secret,
        signature,
        tolerance,
        remember,
        max_bytes,
        rate,
        format,
        options or {},
        key_header,
        headers,
    )
