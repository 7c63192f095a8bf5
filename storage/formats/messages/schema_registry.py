"""A client of the schema registry's HTTP API, as Confluent's and those that follow it answer it.

Schemas never change under their id, so each is asked for once a process. That the registry does
not answer is nobody's data: it is raised as what goes over, and the batch is tried again.
"""

import base64
import ipaddress
import json
import os
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from afresh.assets.errors import StorageUnavailable, UnreadableData, UsageError
from afresh.storage.formats.base import Options

TIMEOUT_SECONDS = 10.0
MOST_BYTES = 16 << 20
OPTIONS = frozenset(
    {
        "registry",
        "registry_username",
        "registry_password_env",
        "registry_password_file",
        "registry_ca",
        "registry_plaintext",
    }
)


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows nobody elsewhere: urllib would take the password along."""

    def redirect_request(self, *_: Any) -> None:
        """Follow no answer that sends elsewhere."""


@dataclass(frozen=True, slots=True)
class RegisteredSchema:
    """A schema as the registry has it; `references` are others that it names, by these names."""

    id: int
    kind: str
    text: str
    references: tuple[tuple[str, str, int], ...] = ()


class NoSchema(Exception):
    """The registry has no schema of that id; the text says so."""


class SchemaRegistry:
    """One registry, asked with the options of a source."""

    def __init__(self, options: Options) -> None:
        self._url = str(options.get("registry") or "").rstrip("/")
        self._options = options
        self._schemas: dict[tuple[int, str], RegisteredSchema | str] = {}
        self._texts: dict[tuple[str, int, str], RegisteredSchema] = {}
        self.parsed: dict[tuple[int, str], Any] = {}
        """What was made of schemas, by id and kind."""

    def schema(self, schema_id: int, form: str = "") -> RegisteredSchema:
        """Give the schema of an id. Raises NoSchema, and StorageUnavailable if none can be had."""
        key = (schema_id, form)
        if key not in self._schemas:
            answer = self._get(f"/schemas/ids/{schema_id}{_query(form)}")
            self._schemas[key] = (
                f"the registry has no schema {schema_id}"
                if answer is None
                else self._schema(schema_id, answer)
            )
        found = self._schemas[key]
        if isinstance(found, str):
            del self._schemas[key]  # it may come to have it
            raise NoSchema(found)
        return found

    def referenced(self, subject: str, version: int, form: str = "") -> RegisteredSchema:
        """Give what a schema refers to. Raises as `schema`."""
        key = (subject, version, form)
        if key not in self._texts:
            quoted = urllib.parse.quote(subject, safe="")
            answer = self._get(f"/subjects/{quoted}/versions/{version}{_query(form)}")
            if answer is None:
                msg = f"the registry has no version {version} of {subject!r}"
                raise NoSchema(msg)
            self._texts[key] = self._schema(0, answer)
        return self._texts[key]

    def _get(self, path: str) -> Mapping[str, Any] | None:
        headers = {"Accept": "application/vnd.schemaregistry.v1+json"}
        username = str(self._options.get("registry_username") or "")
        if username:
            pair = f"{username}:{self._password()}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        request = urllib.request.Request(self._url + path, headers=headers)  # noqa: S310 - checked
        opener = urllib.request.build_opener(
            _Stay(), urllib.request.HTTPSHandler(context=self._tls())
        )
        try:
            with opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                body = answer.read(MOST_BYTES)
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 404:
                    return None
                if 300 <= error.code < 400:
                    other = str(error.headers.get("Location"))
                    raise UnreadableData(
                        f"Expected schemas from the registry at {self._url}, found that it sends "
                        f"elsewhere: {other[:200]}",
                        hint="write as registry= where it is",
                    ) from error
                raise self._unavailable(f"{error.code} {error.reason}") from error
        except (OSError, ValueError, HTTPException) as error:
            raise self._unavailable(str(getattr(error, "reason", error))) from error
        try:
            found = json.loads(body)
        except ValueError as error:
            raise self._unavailable("an answer that is no JSON") from error
        if not isinstance(found, dict) or not isinstance(found.get("schema"), str):
            raise self._unavailable("an answer without a schema")
        return found

    def _schema(self, schema_id: int, answer: Mapping[str, Any]) -> RegisteredSchema:
        try:
            references = tuple(
                (str(each["name"]), str(each["subject"]), int(each["version"]))
                for each in answer.get("references") or ()
            )
        except (TypeError, ValueError, LookupError) as error:
            raise self._unavailable("an answer with references that are none") from error
        kind = str(answer.get("schemaType") or "AVRO")
        return RegisteredSchema(schema_id, kind, answer["schema"], references)

    def _tls(self) -> ssl.SSLContext | None:
        if not self._url.startswith("https:"):
            return None
        ca = self._options.get("registry_ca")
        try:
            return ssl.create_default_context(cafile=str(ca) if ca else None)
        except OSError as error:
            raise UnreadableData(
                f"Expected certificates in {ca}, found {error}", hint="mend registry_ca"
            ) from error

    def _password(self) -> str:
        name = self._options.get("registry_password_env")
        if name:
            return os.environ.get(str(name), "")
        path = self._options.get("registry_password_file")
        try:
            return Path(str(path)).read_text().strip() if path else ""
        except OSError as error:
            raise self._unavailable(f"no password in {path}: {error.strerror}") from error

    def _unavailable(self, found: str) -> StorageUnavailable:
        return StorageUnavailable(
            f"Expected schemas from the registry at {self._url}, found {found}",
            hint="it is asked again until it answers",
        )


def _query(form: str) -> str:
    return f"?format={form}" if form else ""


_registries: dict[tuple[tuple[str, object], ...], SchemaRegistry] = {}


def registry(options: Options) -> SchemaRegistry:
    """Give the registry of a source: one a process, with what it answered so far."""
    key = tuple(sorted((name, options.get(name)) for name in OPTIONS))
    if key not in _registries:
        _registries[key] = SchemaRegistry(options)
    return _registries[key]


def check_registry(options: Options) -> None:
    """Raise UsageError for options of a registry that cannot be."""
    url = str(options.get("registry") or "")
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(
            f"Expected the URL of a schema registry, found {url!r}",
            hint='write registry="http://127.0.0.1:8081"',
        )
    if parts.username or parts.password:
        raise UsageError(
            "Expected a URL of a schema registry without a password, found one",
            hint='write options={"registry_username": ..., "registry_password_env": ...}',
        )
    plain = options.get("registry_plaintext")
    if parts.scheme == "http" and plain is not True and not _is_loopback(parts.hostname):
        raise UsageError(
            f"Expected https to a registry beyond this machine, found {url!r}",
            hint='write registry="https://...", or options={"registry_plaintext": True} if '
            "everybody on the way may read, and change, schemas",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
