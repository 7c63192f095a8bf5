"""From a declaration as it was written to what the manifest says of it, and its live side."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from afresh.assets.declare import Declared, FunctionDeclaration, SourceDeclaration
from afresh.assets.errors import AfreshError, DefinitionError, UsageError
from afresh.assets.fingerprint import code_key
from afresh.assets.manifest import Function, Input, Output, Problem, Schema, Sensor, Source, Where
from afresh.assets.schema import is_schema
from afresh.daemon.workers import options
from afresh.daemon.workers.catalog import Catalog
from afresh.daemon.workers.live import LiveFunction, LiveSource
from afresh.daemon.workers.modules import relative
from afresh.daemon.workers.parameters import values_of
from afresh.daemon.workers.reads import read_inputs
from afresh.daemon.workers.signature import Hints, Problems, Signature, read
from afresh.storage.formats.base import check_options
from afresh.storage.formats.messages.registry import check_message_options, message_format
from afresh.storage.formats.registry import detect

_NO_SENSOR = Declared(Sensor("", {}))


class Builder:
    """Builds one generation. `names` are those of all assets; `problems` gathers what is wrong."""

    def __init__(
        self, root: str, names: Collection[str], by_object: Mapping[int, str], catalog: Catalog
    ) -> None:
        self.root = root
        self.names = names
        self.by_object = by_object
        self.catalog = catalog
        self.problems: list[Problem] = []
        self.hints = Hints()

    def source(self, declaration: SourceDeclaration) -> LiveSource | None:
        """Build a source; what is wrong in it is replaced by defaults, None if all of it is."""
        try:
            return self._source(declaration)
        except Exception as error:  # noqa: BLE001 - people write anything as options
            self._report([_unreadable(error)], self.where(declaration), declaration.name)
            return None

    def function(
        self, declaration: FunctionDeclaration, name: str, table: Mapping[str, Any]
    ) -> LiveFunction | None:
        """Build the function that makes asset `name`; None when it cannot be read."""
        try:
            return self._function(declaration, name, table)
        except Exception as error:  # noqa: BLE001 - people write anything as options
            self._report([_unreadable(error)], self.where(declaration), name)
            return None

    def where(self, declaration: SourceDeclaration | FunctionDeclaration) -> Where:
        """Give the place of a declaration, relative to the project."""
        return Where(relative(declaration.file, self.root), declaration.line)

    def _source(self, declaration: SourceDeclaration) -> LiveSource:
        found: Problems = []
        sensor = self._sensor(declaration, found)
        schema = declaration.schema
        if schema is not None and not is_schema(schema):
            found.append(
                (
                    f"Expected a Pandera model or schema object, found {schema!r}",
                    f"write schema=Model in source({declaration.name!r}, ...)",
                )
            )
            schema = None
        key = self._schema(schema, found)
        key_columns = sensor.key_columns
        if declaration.key_columns is not None:
            key_columns = bool(declaration.key_columns)
        if key_columns and not sensor.captures:
            found.append(("Expected captures for key_columns=True, found none", "leave it out"))
        on_delete, on_reject = options.source_policies(declaration, found)
        keep, keep_seconds = options.keep(
            declaration.keep, found, stream=sensor.stream, kind=sensor.sensor.kind
        )
        built = Source(
            name=declaration.name,
            sensor=sensor.sensor,
            captures=sensor.captures,
            schema=key,
            format=sensor.format,
            options=dict(sensor.options),
            key_columns=key_columns,
            stream=sensor.stream,
            keep=keep,
            keep_seconds=keep_seconds,
            on_delete=on_delete,
            on_reject=on_reject,
            budget=options.budget(declaration.budget, found),
            group=options.group(declaration.group, found),
            owner=options.text("owner", declaration.owner, found),
            tags=options.labels("tags", declaration.tags, found),
            description=options.text("description", declaration.description, found),
            code_key=self._reading_key(sensor, key, key_columns=key_columns),
            where=self.where(declaration),
        )
        self._report(found, built.where, declaration.name)
        return LiveSource(built, schema)

    def _function(
        self, declaration: FunctionDeclaration, name: str, table: Mapping[str, Any]
    ) -> LiveFunction | None:
        signature = read(declaration, name, self.names, self.hints)
        found = signature.problems
        values, texts, wrong = values_of(name, signature.plain, table)
        found.extend(wrong)
        where = self.where(declaration)
        inputs, own = read_inputs(
            declaration,
            signature.inputs,
            self.by_object,
            lambda schema: self._described(schema, found),
            found,
        )
        outputs = self._outputs(declaration, signature, found)
        volatile = declaration.volatile
        built = Function(
            name=name,
            inputs=inputs,
            outputs=outputs,
            code_key=self._code_key(declaration, inputs, outputs, found),
            partitions=own,
            parameters=texts,
            volatile=(volatile,) if isinstance(volatile, str) else tuple(volatile),
            special=signature.special,
            refresh=options.refresh(declaration.refresh, inputs, found),
            on_code_change=options.on_code_change(
                declaration.on_code_change, found, kept=bool(own or declaration.new)
            ),
            retry=options.retry(declaration.retries, found),
            timeout_seconds=options.timeout(declaration.timeout, found),
            new_rows=options.new_rows(declaration, found),
            where=where,
        )
        self._report(found, where, name)
        if not outputs:
            return None
        return LiveFunction(
            declaration=built,
            callable=declaration.function,
            inputs={frame.name: frame.schema for frame in signature.inputs},
            outputs={frame.name: frame.schema for frame in signature.outputs},
            parameters=values,
        )

    def _sensor(self, declaration: SourceDeclaration, found: Problems) -> Declared:
        try:
            declared = declaration.sensor.declared()
            _check_format(declared)
        except (DefinitionError, UsageError) as error:
            found.append((error.error, error.hint))
        except AttributeError:
            found.append(
                (
                    f"Expected a sensor, found {declaration.sensor!r}",
                    'write source("flights", files("landing/{day}.csv"))',
                )
            )
        else:
            return declared
        return _NO_SENSOR

    def _outputs(
        self, declaration: FunctionDeclaration, signature: Signature, found: Problems
    ) -> tuple[Output, ...]:
        group = options.group(declaration.group, found)
        owner = options.text("owner", declaration.owner, found)
        tags = options.labels("tags", declaration.tags, found)
        description = options.description(declaration, found)
        return tuple(
            Output(
                frame.name,
                frame.given,
                self._schema(frame.schema, found),
                group,
                owner,
                tags,
                description,
            )
            for frame in signature.outputs
        )

    def _schema(self, schema: object, found: Problems) -> str:
        try:
            return self.catalog.add(schema)
        except DefinitionError as error:
            found.append((error.error, error.hint))
            return ""

    def _described(self, schema: object, found: Problems) -> tuple[str, Schema | None]:
        key = self._schema(schema, found)
        return key, self.catalog.schemas.get(key)

    def _code_key(
        self,
        declaration: FunctionDeclaration,
        inputs: Sequence[Input],
        outputs: Sequence[Output],
        found: Problems,
    ) -> str:
        used = [part.schema for part in inputs] + [part.schema for part in outputs]
        try:
            return code_key(
                declaration.function,
                root=self.root,
                schemas=[self.catalog.schemas[key] for key in used if key],
                version=options.version(declaration.version, found),
            )
        except DefinitionError as error:
            found.append((error.error, error.hint))
        except Exception as error:  # noqa: BLE001 - it reads what user code reaches
            found.append(
                (
                    f"Expected readable code, found {type(error).__name__}: {error}",
                    'give the asset a version="1" and change it with the code',
                )
            )
        return ""

    def _reading_key(self, sensor: Declared, schema: str, *, key_columns: bool) -> str:
        """Hash what reading does to the data of a source: format, options, types, coercions."""
        described = self.catalog.schemas.get(schema)
        columns = described.columns if described is not None else ()
        what = {
            "format": sensor.format,
            "options": dict(sensor.options),
            "captures": sensor.captures if key_columns else (),
            "schema": described.data_key if described is not None else "",
            "types": [[column.name, column.regex, column.dtype] for column in columns],
        }
        text = json.dumps(what, sort_keys=True, default=repr)
        return hashlib.blake2b(b"source-1 " + text.encode(), digest_size=16).hexdigest()

    def _report(self, found: Problems, where: Where | None, asset: str) -> None:
        self.problems.extend(
            Problem(error=error, hint=hint, where=where, asset=str(asset))
            for error, hint in dict.fromkeys(found)
        )


def _unreadable(error: Exception) -> tuple[str, str]:
    if isinstance(error, AfreshError):
        return error.error, error.hint
    return (
        f"Expected a declaration that can be read, found {type(error).__name__}: {error}",
        "check the types of its options",
    )


def _check_format(declared: Declared) -> None:
    """Raise UsageError for a format or option that nothing reads; open names show it at arrival."""
    if declared.stream:
        check_message_options(message_format(declared.format or "json"), declared.options)
        return
    name = str(declared.sensor.options.get("pattern", ""))
    if declared.format or not name.endswith(("}", "*", "?")):
        kind, _ = detect(name, declared.format)
        check_options(kind, declared.options)
