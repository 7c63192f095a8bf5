"""The declarations as plain data: what a worker that loaded the definitions hands to the daemon.

Everything the daemon and the command line know of a project they know from here; neither ever
imports a definition. Encoded with msgspec (MessagePack in the ledger and on sockets).
"""

from sys import intern
from typing import Any, Literal

import msgspec

from afresh.assets.policy import Budget, Eager, Policy

Given = Literal["pandas", "polars", "polars_lazy", "pyarrow", "object"]
"""The shape in which a function is given an input or returns an output."""


_NONE: dict[str, Any] = {}
"""Of thousands of declarations most say nothing here: they share one, which nobody writes to."""


def _share(declared: msgspec.Struct, *fields: str) -> None:
    """Keep a name once though many declarations say it, an empty dict once, and so on."""
    for field in fields:
        value = getattr(declared, field)
        if isinstance(value, str):
            msgspec.structs.force_setattr(declared, field, intern(value))
        elif value == {}:
            msgspec.structs.force_setattr(declared, field, _NONE)


class Where(msgspec.Struct, frozen=True):
    """A place in a definition file; the line counts from 1, the file is relative to the project."""

    file: str
    line: int

    def __post_init__(self) -> None:
        """Keep the name of the file once."""
        _share(self, "file")

    def __str__(self) -> str:
        """As editors and terminals link it: `file:line`."""
        return f"{self.file}:{self.line}"


class Problem(msgspec.Struct, frozen=True):
    """What is wrong with a definition, and the way out."""

    error: str
    hint: str
    where: Where | None = None
    asset: str = ""
    module: str = ""


class Column(msgspec.Struct, frozen=True):
    """A column of a schema. `dtype` is the name that `assets.schema` gives it, "" for any."""

    name: str
    dtype: str
    nullable: bool = False
    required: bool = True
    coerce: bool = False
    checks: tuple[str, ...] = ()
    regex: bool = False
    """The name is a pattern: it stands for every column that it matches from the start."""
    native: str = ""
    """The library's own type, of which `dtype` says what it holds."""


class Schema(msgspec.Struct, frozen=True):
    """A schema as data. `data_key` hashes what it does to data, `version` its checks."""

    name: str
    columns: tuple[Column, ...]
    strict: Literal["open", "strict", "filter"]
    data_key: str
    version: str
    where: Where | None = None
    checks: tuple[str, ...] = ()
    """The checks of the frame as a whole; those of one column are its own."""
    rules: tuple[str, ...] = ()
    """What else it demands of a frame, the library first; none is known of older manifests."""


class Sensor(msgspec.Struct, frozen=True):
    """What watches for a source's data: the kind names the sensor, the options are the kind's.

    Options are plain data as JSON has it; none is a secret (those come from the environment).
    """

    kind: str
    options: dict[str, Any]


class Source(msgspec.Struct, frozen=True):
    """A declared source. `captures` are the names its path pattern captures, in pattern order.

    A `stream` only grows: its versions are prefixes of one sequence of rows. `keep_seconds` is how
    long its rows are kept, None for ever. `keep` says whether the data itself is kept.
    """

    name: str
    sensor: Sensor
    captures: tuple[str, ...] = ()
    schema: str = ""
    format: str = ""
    options: dict[str, str | int | float | bool | None] = {}
    key_columns: bool = False
    stream: bool = False
    keep: Literal["data", "reference"] = "data"
    keep_seconds: float | None = None
    on_delete: Literal["keep", "propagate", "fail"] = "keep"
    on_reject: Literal["keep", "hold"] = "keep"
    budget: Budget | None = None
    group: str = ""
    owner: str = ""
    tags: tuple[str, ...] = ()
    description: str = ""
    code_key: str = ""
    where: Where | None = None

    def __post_init__(self) -> None:
        """Keep once what many have."""
        _share(self, "name", "schema", "format", "group", "owner", "code_key", "options")

    @property
    def outside(self) -> bool:
        """Whether a worker that reads it asks a server: one that hangs holds the worker."""
        kind, options = self.sensor.kind, self.sensor.options
        return kind in {"bucket", "upstream"} or (kind == "kafka" and bool(options.get("registry")))


class Input(msgspec.Struct, frozen=True):
    """One parameter of a function that is given an asset's data.

    `reads` is "own" (the same partition key), "all" (every unit of the asset, in key order;
    of an unpartitioned asset, its one unit) or "new" (of a stream, the rows since the reader's own
    last version). `columns` empty means every column.
    """

    parameter: str
    asset: str
    reads: Literal["own", "all", "new"]
    given: Given
    columns: tuple[str, ...] = ()
    schema: str = ""

    def __post_init__(self) -> None:
        """Keep once what many have."""
        _share(self, "parameter", "asset", "schema")


class Output(msgspec.Struct, frozen=True):
    """One asset that a function makes. `schema` names an entry of the manifest's schemas."""

    asset: str
    given: Given
    schema: str = ""
    group: str = ""
    owner: str = ""
    tags: tuple[str, ...] = ()
    description: str = ""

    def __post_init__(self) -> None:
        """Keep once what many have."""
        _share(self, "asset", "schema", "group", "owner")


class Retry(msgspec.Struct, frozen=True):
    """`attempts` in all; between them `delay_seconds`, doubling to `max_seconds`, with jitter."""

    attempts: int = 1
    delay_seconds: float = 1.0
    max_seconds: float = 60.0


_ONCE = Retry()


class Function(msgspec.Struct, frozen=True):
    """One decorated function: its inputs and the assets it makes; most make one.

    `name` is its first output's. `new_rows` is the most that a run is given of a stream's new rows,
    0 for what the project is set to. `partitions` names the inputs whose keys it has (empty: one
    unit).
    `parameters` are its plain-value parameters as canonical JSON, hashed into the run key;
    `volatile` ones are left out of it. `special` maps "partition" and "context" to parameter names.
    """

    name: str
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    code_key: str
    partitions: tuple[str, ...] = ()
    parameters: dict[str, str] = {}
    volatile: tuple[str, ...] = ()
    special: dict[str, str] = {}
    refresh: Policy = msgspec.field(default=Eager(), name="refresh_policy")
    on_code_change: Literal["rebuild", "new_only", "manual"] = "rebuild"
    retry: Retry = _ONCE
    timeout_seconds: float | None = None
    new_rows: int = 0
    where: Where | None = None

    def __post_init__(self) -> None:
        """Keep once what many have."""
        _share(self, "name", "code_key", "parameters", "special")
        if self.retry == _ONCE:
            msgspec.structs.force_setattr(self, "retry", _ONCE)


class Manifest(msgspec.Struct, frozen=True):
    """All that a generation declares; `digest` is the hash of the snapshot it was loaded from."""

    digest: str
    sources: tuple[Source, ...] = ()
    functions: tuple[Function, ...] = ()
    schemas: dict[str, Schema] = {}
    problems: tuple[Problem, ...] = ()
    kept: tuple[str, ...] = ()
    """Sources and functions as they were last: their modules do not import, they cannot run."""
    distributions: dict[str, str] = {}
