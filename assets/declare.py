"""What users write: `@asset` and `source()`.

A declaration is only written down here, with its place. What it means is worked out when all
modules are imported, so that everything that is wrong can be told at once.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Literal, Protocol, TypeVar, overload

from afresh.assets.errors import DefinitionError
from afresh.assets.lines import line_of
from afresh.assets.manifest import Retry, Sensor

__all__ = [
    "Declared",
    "FunctionDeclaration",
    "Registry",
    "SensorSpec",
    "SourceDeclaration",
    "asset",
    "collecting",
    "source",
]

F = TypeVar("F", bound=Callable[..., Any])
Option = str | int | float | bool | None
OnCodeChange = Literal["rebuild", "new_only", "manual"]


@dataclass(frozen=True, slots=True)
class Declared:
    """What a sensor's declaration comes to: what the manifest says of its source."""

    sensor: Sensor
    captures: tuple[str, ...] = ()
    format: str = ""
    options: Mapping[str, Option] = field(default_factory=dict)
    key_columns: bool = False
    stream: bool = False
    """Its source only grows: an arrival adds rows, none replaces what is there."""


class SensorSpec(Protocol):
    """What `files(...)` and its like give: a sensor as declared, nothing of it running."""

    def declared(self) -> Declared:
        """Work it out. Raises DefinitionError when it is wrong."""
        ...


@dataclass(frozen=True, slots=True)
class SourceDeclaration:
    """A source as it was written. `file` is absolute, `module` is the one that declares it."""

    name: str
    sensor: SensorSpec
    schema: Any
    keep: str
    on_delete: str
    on_reject: str
    budget: str | None
    key_columns: bool | None
    group: str
    owner: str
    tags: str | Sequence[str]
    description: str
    file: str
    line: int
    module: str


@dataclass(frozen=True, slots=True)
class FunctionDeclaration:
    """A decorated function as it was written: the options are not yet checked."""

    function: Callable[..., Any]
    name: str
    deps: Mapping[str, Any]
    partitions: Any
    new: str | Sequence[str]
    new_rows: int | None
    outputs: Mapping[str, Any] | Sequence[str] | None
    columns: Mapping[str, Sequence[str]]
    group: str
    owner: str
    tags: str | Sequence[str]
    description: str
    retries: int | Retry
    timeout: float | str | None
    refresh: Any
    version: str | int | None
    volatile: str | Sequence[str]
    on_code_change: str | None
    file: str
    line: int
    module: str


@dataclass(slots=True)
class Registry:
    """What has been declared since `collecting()` began, in that order."""

    functions: list[FunctionDeclaration] = field(default_factory=list)
    sources: list[SourceDeclaration] = field(default_factory=list)


_open: list[Registry] = []


@contextmanager
def collecting() -> Iterator[Registry]:
    """Collect what is declared meanwhile; outside of it nothing is kept."""
    registry = Registry()
    _open.append(registry)
    try:
        yield registry
    finally:
        _open.remove(registry)


@overload
def asset(function: F, /) -> F: ...


@overload
def asset(
    *,
    name: str = ...,
    deps: Mapping[str, Any] | None = ...,
    partitions: Any = ...,
    new: str | Sequence[str] = ...,
    new_rows: int | None = ...,
    outputs: Mapping[str, Any] | Sequence[str] | None = ...,
    columns: Mapping[str, Sequence[str]] | None = ...,
    group: str = ...,
    owner: str = ...,
    tags: str | Sequence[str] = ...,
    description: str = ...,
    retries: int | Retry = ...,
    timeout: float | str | None = ...,
    refresh: Any = ...,
    version: str | int | None = ...,
    volatile: str | Sequence[str] = ...,
    on_code_change: OnCodeChange | None = ...,
) -> Callable[[F], F]: ...


def asset(
    function: F | None = None,
    /,
    *,
    name: str = "",
    deps: Mapping[str, Any] | None = None,
    partitions: Any = (),
    new: str | Sequence[str] = (),
    new_rows: int | None = None,
    outputs: Mapping[str, Any] | Sequence[str] | None = None,
    columns: Mapping[str, Sequence[str]] | None = None,
    group: str = "",
    owner: str = "",
    tags: str | Sequence[str] = (),
    description: str = "",
    retries: int | Retry = 0,
    timeout: float | str | None = None,
    refresh: Any = "eager",
    version: str | int | None = None,
    volatile: str | Sequence[str] = (),
    on_code_change: OnCodeChange | None = None,
) -> F | Callable[[F], F]:
    """Declare the asset that a function makes. The function itself stays as it is.

    Parameters annotated as frames are the assets it reads, by their names. `deps` names others:
    `{"parameter": "asset.name"}`. `partitions` names inputs whose keys the asset has, reading its
    own partition of them; others are read whole. `new` names inputs that are streams: the function
    is given only the rows since its own last version, and what it returns is appended, so that the
    asset is a stream as well; it runs when there are new rows, not when other inputs change: those
    are read as they are then. New code or parameters go on from there, unless
    `on_code_change="rebuild"`: that, and `materialize --force`, reads from the start and replaces.
    Of more than `new_rows` rows (1,000,000, and 256 MiB, unless `afresh.toml` says otherwise) the
    run is given the first, and runs for the rest follow at once; what reads the asset waits for
    them. `outputs` declares several assets, `{"name": Schema}` or names: the function then returns
    a tuple or a dict. `columns` lists, by parameter, the columns that are read. `retries` is how
    often a failed run is tried again, or a `Retry`; `timeout` is in seconds, or "30s", "5m", "2h".
    `refresh` says when it runs: at once ("eager"), or by a policy: `cron("0 6 * * *")`,
    `every("15m")`, `manual()`, `freshness("10m")`,
    `debounce(quiet="5s")`, `all_new("a", "b") | any_new("c")`. `version` replaces the fingerprint
    of the code; `volatile` names parameters whose change makes nothing stale.
    """

    def declare(function: F) -> F:
        if _open:
            file, line = _place(function, frame)
            _open[-1].functions.append(
                FunctionDeclaration(
                    function=function,
                    name=name,
                    deps=deps or {},
                    partitions=partitions,
                    new=new,
                    new_rows=new_rows,
                    outputs=outputs,
                    columns=columns or {},
                    group=group,
                    owner=owner,
                    tags=tags,
                    description=description,
                    retries=retries,
                    timeout=timeout,
                    refresh=refresh,
                    version=version,
                    volatile=volatile,
                    on_code_change=on_code_change,
                    file=file,
                    line=line,
                    module=frame.f_globals.get("__name__", ""),
                )
            )
        return function

    frame = sys._getframe(1)  # noqa: SLF001 - the one cheap way to know who calls
    if function is not None and not callable(function):
        raise DefinitionError(
            f"Expected @asset, or options by name, found @asset({function!r})",
            hint='write @asset(name="orders"), or @asset alone',
        )
    return declare if function is None else declare(function)


def source(
    name: str,
    sensor: SensorSpec,
    *,
    schema: Any = None,
    keep: str = "data",
    on_delete: Literal["keep", "propagate", "fail"] = "keep",
    on_reject: Literal["keep", "hold"] = "keep",
    budget: str | None = None,
    key_columns: bool | None = None,
    group: str = "",
    owner: str = "",
    tags: str | Sequence[str] = (),
    description: str = "",
) -> SourceDeclaration:
    """Declare an asset whose data arrives: `source("flights", files("landing/{day}.csv"))`.

    `schema` is a Pandera model or schema object. `keep="reference"` of files and objects validates
    and hashes them without a copy, and reads the originals again. `keep="30d"` lets the rows of a
    stream go when they are older than that and every reader of new rows has read them. `on_delete`
    says what a deletion means: "keep" the last data, "propagate" it, or "fail" the readers.
    `on_reject="hold"` holds the readers of a unit whose new data is rejected. `key_columns=True`
    adds what the path captures as columns. `budget="1000/1m"` is how often its data is read at
    most: what comes beyond that is recorded at once, and read later.
    """
    frame = sys._getframe(1)  # noqa: SLF001 - the one cheap way to know who calls
    declaration = SourceDeclaration(
        name=name,
        sensor=sensor,
        schema=schema,
        keep=keep,
        on_delete=on_delete,
        on_reject=on_reject,
        budget=budget,
        key_columns=key_columns,
        group=group,
        owner=owner,
        tags=tags,
        description=description,
        file=frame.f_code.co_filename,
        line=line_of(frame),
        module=frame.f_globals.get("__name__", ""),
    )
    if _open:
        _open[-1].sources.append(declaration)
    return declaration


def _place(function: Callable[..., Any], frame: FrameType) -> tuple[str, int]:
    """Find its first decorator's line; of a callable without code here, the call's."""
    inner = function
    while hasattr(inner, "__wrapped__"):
        inner = inner.__wrapped__
    code = getattr(inner, "__code__", None)
    if code is not None and code.co_filename == frame.f_code.co_filename:
        return code.co_filename, code.co_firstlineno
    return frame.f_code.co_filename, line_of(frame)
