"""A small schema registry with the HTTP API that Confluent's has, as far as readers ask for it.

It keeps its schemas in memory. It can be slow, failing or gone, and counts what it is asked.
"""

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

_TYPE = "application/vnd.schemaregistry.v1+json"


class Registry:
    """The schemas, and the server that gives them."""

    def __init__(self) -> None:
        self.schemas: dict[int, dict[str, Any]] = {}
        self.subjects: dict[str, list[int]] = {}
        self.descriptors: dict[int, bytes] = {}
        """Of Protobuf schemas, what is given for `format=serialized`; else their text is given."""
        self.asked: list[str] = []
        self.status = 200
        self.delay_seconds = 0.0
        self.password = ""
        self.garbled = False
        """Whether it answers with what is no HTTP."""
        self.elsewhere = ""
        """Where it sends all who ask."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def register(
        self,
        subject: str,
        schema: str | dict[str, Any],
        kind: str = "AVRO",
        *,
        references: list[dict[str, Any]] | None = None,
        descriptor: bytes = b"",
    ) -> int:
        """Add a version to a subject, as a producer does; give its id."""
        text = schema if isinstance(schema, str) else json.dumps(schema)
        entry: dict[str, Any] = {"schema": text}
        if kind != "AVRO":
            entry["schemaType"] = kind
        if references:
            entry["references"] = references
        known = [number for number, other in self.schemas.items() if other == entry]
        schema_id = known[0] if known else len(self.schemas) + 1
        self.schemas[schema_id] = entry
        self.subjects.setdefault(subject, []).append(schema_id)
        if descriptor:
            self.descriptors[schema_id] = descriptor
        return schema_id

    def answer(self, path: str) -> tuple[int, dict[str, Any]]:
        """Answer a GET."""
        parts = urlsplit(path)
        match [unquote(part) for part in parts.path.split("/")[1:]]:
            case ["schemas", "ids", number] if number.isdecimal():
                schema_id = int(number)
                if schema_id not in self.schemas:
                    return 404, {"error_code": 40403, "message": "Schema not found"}
                return 200, self._entry(schema_id, parts.query)
            case ["subjects", subject, "versions", version]:
                versions = self.subjects.get(subject, [])
                if not version.isdecimal() or not 0 < int(version) <= len(versions):
                    return 404, {"error_code": 40402, "message": "Version not found"}
                schema_id = versions[int(version) - 1]
                entry = self._entry(schema_id, parts.query)
                named = {"subject": subject, "version": int(version), "id": schema_id}
                return 200, {**named, **entry}
        return 404, {"error_code": 404, "message": "HTTP 404 Not Found"}

    def _entry(self, schema_id: int, query: str) -> dict[str, Any]:
        entry = dict(self.schemas[schema_id])
        if parse_qs(query).get("format") == ["serialized"] and schema_id in self.descriptors:
            entry["schema"] = base64.b64encode(self.descriptors[schema_id]).decode()
        return entry

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registry.asked.append(self.path)
                time.sleep(registry.delay_seconds)
                if registry.garbled:
                    self.wfile.write(b"nonsense\r\n\r\n")
                    return
                given = self.headers.get("Authorization", "")
                wanted = f"Basic {base64.b64encode(registry.password.encode()).decode()}"
                status, body = registry.answer(self.path)
                if registry.password and given != wanted:
                    status, body = 401, {"error_code": 401, "message": "Unauthorized"}
                if registry.status != 200:
                    status, body = registry.status, {"error_code": 50001, "message": "Error"}
                if registry.elsewhere:
                    status = 302
                data = json.dumps(body).encode()
                self.send_response(status)
                if registry.elsewhere:
                    self.send_header("Location", registry.elsewhere + self.path)
                self.send_header("Content-Type", _TYPE)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                with suppress(OSError):  # who asked may have given up
                    self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        return Handler


@pytest.fixture
def schema_registry() -> Iterator[Registry]:
    registry = Registry()
    try:
        yield registry
    finally:
        registry.close()
