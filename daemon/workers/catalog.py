"""The schemas of a generation: described once each, and named apart."""

from afresh.assets.errors import DefinitionError
from afresh.assets.manifest import Schema
from afresh.assets.schema import describe


class Catalog:
    """Schema objects as data. `schemas` are those of the manifest, by key."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.schemas: dict[str, Schema] = {}
        self._keys: dict[int, str] = {}
        # What is known by id must not be freed: another object would take its id.
        self._kept: list[object] = []

    def add(self, schema: object) -> str:
        """Describe a schema object and give its key; "" for None. Raises DefinitionError."""
        if schema is None:
            return ""
        key = self._keys.get(id(schema))
        if key is None:
            try:
                described = describe(schema, root=self.root)
            except DefinitionError:
                raise
            except Exception as error:
                raise DefinitionError(
                    f"Expected a schema that can be read, found {type(error).__name__}: {error}",
                    hint="call its to_schema() in a Python shell to see more",
                ) from error
            key = self._keys[id(schema)] = self.adopt(described)
            self._kept.append(schema)
        return key

    def adopt(self, schema: Schema) -> str:
        """Take in a described schema; equal ones share a key, others of the same name do not."""
        name = schema.name or "schema"
        key = name
        if key in self.schemas and self.schemas[key] != schema:
            key = f"{name}#{schema.data_key[:8]}{schema.version[:8]}"
            number = 1
            while key in self.schemas and self.schemas[key] != schema:
                number += 1
                key = f"{name}#{number}"
        self.schemas[key] = schema
        return key
