"""Options of a store: plain in the manifest, secrets by name; read where the store is opened."""

import os
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from afresh.assets.errors import DefinitionError
from afresh.sensors.secret import Secret

_SECRET = "$secret"  # noqa: S105 - the mark of where one is, not one
_WORDS = (
    "secret",
    "token",
    "password",
    "passwd",
    "credential",
    "sas",
    "account_key",
    "connection_string",
    "access_key",
    "accesskey",
    "api_key",
    "private",
)
_PLAIN_TOKENS = frozenset({"anon", "cloud", "google_default"})
"""What gcsfs takes as `token` and is none."""


def check_options(options: object, *, place: str = "storage_options") -> None:
    """Raise DefinitionError for secrets that are written out, and for what is no plain data."""
    if not isinstance(options, Mapping):
        raise DefinitionError(
            f"Expected {place} as a dict, found {type(options).__name__}",
            hint='write storage_options={"endpoint_url": "http://127.0.0.1:9000"}',
        )
    for name, value in options.items():
        if not isinstance(name, str):
            raise DefinitionError(f"Expected names in {place}, found {name!r}")
        if isinstance(value, Secret):
            continue
        if _is_secret(name) and value not in (None, "", False, True) and not _is_word(name, value):
            # The value is not shown: it would be in logs.
            raise DefinitionError(
                f"Expected no secret in {place}, found one as {name!r}",
                hint=f"leave it to the environment, or write {{{name!r}: env('NAME')}} with "
                "`from afresh.sensors import env`: it is read when the store is opened",
            )
        if isinstance(value, Mapping):
            check_options(value, place=f"{place}[{name!r}]")
        elif value is not None and not isinstance(value, str | int | float | bool):
            raise DefinitionError(
                f"Expected plain values in {place}, found {name}={type(value).__name__}",
                hint="options are strings, numbers, booleans, None, dicts of them, or env(...)",
            )


def as_plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """Make what the manifest holds: each secret is the name of where it is."""
    plain: dict[str, Any] = {}
    for name, value in options.items():
        if isinstance(value, Secret):
            plain[name] = {_SECRET: msgspec.to_builtins(value)}
        else:
            plain[name] = as_plain(value) if isinstance(value, Mapping) else value
    return plain


def resolve(plain: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Give the options with their secrets. Raises SensorError where one cannot be read."""
    options: dict[str, Any] = {}
    for name, value in plain.items():
        if isinstance(value, Mapping) and _SECRET in value:
            secret = msgspec.convert(value[_SECRET], Secret)
            options[name] = secret.read(environ).decode("utf-8", "surrogateescape")
        else:
            options[name] = resolve(value, environ) if isinstance(value, Mapping) else value
    return options


def secrets_in(plain: Mapping[str, Any], options: Mapping[str, Any]) -> list[str]:
    """Give the values that came from secrets: no message may show them."""
    found: list[str] = []
    for name, value in plain.items():
        if isinstance(value, Mapping):
            given = options[name]
            found += [given] if _SECRET in value else secrets_in(value, given)
    return [secret for secret in found if secret]


def hidden(text: str, secrets: Collection[str]) -> str:
    """Show none of these, whatever a client may say of its settings."""
    # The longest first: one may be the begin of another.
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def _is_secret(name: str) -> bool:
    lower = name.lower()
    return lower == "key" or any(word in lower for word in _WORDS)


def _is_word(name: str, value: object) -> bool:
    return name.lower() == "token" and value in _PLAIN_TOKENS
