"""How a cluster is talked to: TLS and SASL as declared, and as the client wants it."""
# ssl costs 20 ms: the daemon loads it when a sensor connects, the command line never.

import os
from collections.abc import Mapping
from typing import Any

import msgspec

from afresh.assets.errors import DefinitionError, SensorError
from afresh.sensors.secret import Secret

MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_FILES = ("ca", "certificate", "key")
_SECRETS = ("password", "key_password")
_KNOWN = ("tls", *_FILES, "key_password", "sasl", "username", "password")

Setting = str | bool | Secret


def is_loopback(server: str) -> bool:
    """Whether a server, as host:port, is this machine, as far as its name says so."""
    host = server.rpartition(":")[0].strip("[]").lower()
    return host in {"localhost", "::1"} or (host.startswith("127.") and _is_ip(host))


def _is_ip(host: str) -> bool:
    parts = host.split(".")
    return len(parts) == 4 and all(part.isdecimal() and int(part) < 256 for part in parts)


def declared_security(
    given: Mapping[str, Setting], *, beyond_loopback: bool, allow_plaintext: bool
) -> dict[str, Any]:
    """Check settings and give them as plain data. Raises DefinitionError."""
    settings: dict[str, Any] = {}
    for name, value in given.items():
        if name not in _KNOWN:
            raise DefinitionError(
                f"Expected settings of security ({', '.join(_KNOWN)}), found {name!r}",
                hint='write security={"sasl": "SCRAM-SHA-512", "username": "me", '
                '"password": env("KAFKA_PASSWORD")}',
            )
        settings[name] = _setting(name, value)
    if "sasl" in settings:
        for name in ("username", "password"):
            if name not in settings:
                raise DefinitionError(
                    f"Expected a {name} for {settings['sasl']}, found none",
                    hint=f"add {name!r} to security",
                )
    settings.setdefault("tls", bool(settings) and not allow_plaintext)
    if not settings["tls"]:
        if beyond_loopback and not allow_plaintext:
            raise DefinitionError(
                "Expected TLS to servers beyond this machine, found none",
                hint='write security={"tls": True}, or allow_plaintext=True if everybody on the '
                "way may read",
            )
        for name in _FILES:
            if name in settings:
                raise DefinitionError(
                    f"Expected TLS where {name!r} is given, found none",
                    hint='add "tls": True to security',
                )
    return settings


def _setting(name: str, value: object) -> Any:
    if name == "tls":
        if not isinstance(value, bool):
            raise DefinitionError(f"Expected tls to be True or False, found {value!r}")
        return value
    if name in _SECRETS or isinstance(value, Secret):
        if not isinstance(value, Secret):  # nor is it shown
            raise DefinitionError(
                f"Expected where the {name} is, found a {type(value).__name__}",
                hint=f'write "{name}": env("KAFKA_PASSWORD") or secret_file("/run/secrets/kafka")',
            )
        return msgspec.to_builtins(value)
    if not isinstance(value, str) or not value:
        raise DefinitionError(f"Expected a string as {name}, found {value!r}")
    if name == "sasl" and value not in MECHANISMS:
        raise DefinitionError(
            f"Expected sasl as one of {', '.join(MECHANISMS)}, found {value!r}",
            hint='write "sasl": "SCRAM-SHA-512"',
        )
    return value


def client_settings(settings: Mapping[str, Any], project: str) -> dict[str, Any]:
    """Give the client's arguments; secrets are read now. Raises SensorError for what is absent."""
    tls = bool(settings.get("tls"))
    sasl = str(settings.get("sasl", ""))
    protocol = ("SASL_" if sasl else "") + ("SSL" if tls else "PLAINTEXT")
    found: dict[str, Any] = {"security_protocol": protocol}
    if tls:
        found["ssl_context"] = _context(settings, project)
    if sasl:
        found["sasl_mechanism"] = sasl
        found["sasl_plain_username"] = _text(settings["username"])
        found["sasl_plain_password"] = _text(settings["password"])
    return found


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return msgspec.convert(value, Secret).read().decode()


def _context(settings: Mapping[str, Any], project: str) -> Any:
    import ssl  # noqa: PLC0415 - lazy: see above

    files = {
        name: os.path.join(project, settings[name])  # noqa: PTH118 - strings, as above
        for name in _FILES
        if settings.get(name)
    }
    try:
        context = ssl.create_default_context(cafile=files.get("ca"))
        if "certificate" in files:
            password = settings.get("key_password")
            context.load_cert_chain(
                files["certificate"],
                files.get("key"),
                # An empty one, not none: OpenSSL would ask for it at the terminal.
                _text(password) if password is not None else "",
            )
    except (OSError, ssl.SSLError) as error:
        raise SensorError(
            f"Expected certificates in {', '.join(files.values())}, found {error}",
            hint="they must be PEM files that the daemon's user can read",
        ) from error
    return context
