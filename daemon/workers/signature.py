"""What a function's signature declares: inputs, outputs, parameters, partition and context."""

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import msgspec

from afresh.assets.context import Context, Partition
from afresh.assets.declare import FunctionDeclaration
from afresh.assets.errors import DefinitionError
from afresh.assets.manifest import Given
from afresh.assets.nearest import did_you_mean
from afresh.assets.schema import is_schema, schema_of_annotation

EMPTY = inspect.Parameter.empty
Problems = list[tuple[str, str]]
"""Pairs of error and hint; the caller knows the place."""


class Frame(msgspec.Struct, frozen=True):
    """An input or output as annotated: its shape, and the schema object (None without)."""

    name: str
    given: Given
    schema: Any = None


class Plain(msgspec.Struct, frozen=True):
    """A parameter that is given a value: its type, and its default (EMPTY without)."""

    name: str
    annotation: Any
    default: Any


class Signature(msgspec.Struct):
    """What one function takes and gives. `inputs` are by parameter, `outputs` by asset."""

    inputs: list[Frame] = []
    outputs: list[Frame] = []
    plain: list[Plain] = []
    special: dict[str, str] = {}
    problems: Problems = []


class Hints:
    """Annotations, each read once: thousands of functions share a few. For one load only."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, Any], Any] = {}
        self.__annotations__: dict[str, Any] = {}

    def of(self, function: Any) -> dict[str, Any]:
        """Give what the annotations of a function mean. Raises what they raise."""
        scope = getattr(function, "__globals__", {})
        written = getattr(function, "__annotations__", {})
        return {name: self._meaning(scope, value) for name, value in written.items()}

    def _meaning(self, scope: dict[str, Any], value: Any) -> Any:
        key = (id(scope), value)
        try:
            if key in self._known:
                return self._known[key]
        except TypeError:
            # Not hashable: schema objects within.
            return self._read(scope, value)
        self._known[key] = meaning = self._read(scope, value)
        return meaning

    def _read(self, scope: dict[str, Any], value: Any) -> Any:
        self.__annotations__ = {"it": value}
        return typing.get_type_hints(self, scope, scope, include_extras=True)["it"]


def read(
    declaration: FunctionDeclaration, name: str, known: typing.Collection[str], hints_of: Hints
) -> Signature:
    """Read the signature of what makes asset `name`; `known` are the names of all assets."""
    signature = Signature()
    function = declaration.function
    if not callable(function):
        signature.problems.append((f"Expected a function, found {function!r}", "decorate a def"))
        return signature
    inner = _inner(function)
    if inspect.iscoroutinefunction(inner) or inspect.isgeneratorfunction(inner):
        signature.problems.append(
            (
                f"Expected a plain function for asset {name!r}, found an async one or a generator",
                "write def and return; every run has a process of its own",
            )
        )
        return signature
    try:
        parameters = inspect.signature(function).parameters
        hints = hints_of.of(inner)
    except Exception as error:  # noqa: BLE001 - annotations are user code
        signature.problems.append(_unreadable(name, error))
        return signature
    for parameter in parameters.values():
        _parameter(signature, declaration, parameter, hints, known)
    _outputs(signature, declaration, name, hints)
    for option in ("deps", "columns", "volatile"):
        _known_parameters(signature, option, declaration, parameters)
    return signature


def _inner(function: Callable[..., Any]) -> Any:
    """Find what carries the annotations."""
    function = inspect.unwrap(function)
    while isinstance(function, partial):
        function = inspect.unwrap(function.func)
    if inspect.isroutine(function) or inspect.isclass(function):
        return function
    return type(function).__call__


def _unreadable(name: str, error: Exception) -> tuple[str, str]:
    hint = "what annotations name must be there when the module is imported"
    if isinstance(error, NameError):
        hint += ", not only under TYPE_CHECKING"
    found = f"{type(error).__name__}: {error}"
    return f"Expected annotations of asset {name!r} that can be read, found {found}", hint


def _parameter(
    signature: Signature,
    declaration: FunctionDeclaration,
    parameter: inspect.Parameter,
    hints: Mapping[str, Any],
    known: typing.Collection[str],
) -> None:
    name = parameter.name
    if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
        signature.problems.append(
            (
                f"Expected named parameters, found {parameter}",
                "write each dependency as a parameter of its own, without *, ** or /",
            )
        )
        return
    annotation = hints.get(name, EMPTY)
    kind = _special(annotation)
    if kind is not None:
        if kind in signature.special:
            signature.problems.append(
                (
                    (
                        f"Expected one parameter for the {kind}, found "
                        f"{signature.special[kind]!r} and {name!r}"
                    ),
                    "remove one",
                )
            )
        signature.special[kind] = name
        return
    is_input = name in declaration.deps or name in known
    if annotation is EMPTY:
        signature.problems.append(_missing(name, known, is_input=is_input))
        return
    try:
        frame = frame_of(name, annotation)
    except Exception as error:  # noqa: BLE001 - schemas are user code
        signature.problems.append(_unreadable_schema(name, error))
        return
    if frame is not None:
        signature.inputs.append(frame)
    elif is_input:
        signature.problems.append(
            (
                f"Expected a frame as annotation of input {name!r}, found {_shown(annotation)}",
                (
                    "write DataFrame[Model], pd.DataFrame, pl.DataFrame, pl.LazyFrame or pa.Table; "
                    "a plain parameter needs a name that no asset has"
                ),
            )
        )
    else:
        signature.plain.append(Plain(name, annotation, parameter.default))


def _special(annotation: Any) -> Literal["partition", "context"] | None:
    if isinstance(annotation, type):
        if issubclass(annotation, Partition):
            return "partition"
        if issubclass(annotation, Context):
            return "context"
    return None


def _missing(name: str, known: typing.Collection[str], *, is_input: bool) -> tuple[str, str]:
    way = "annotate it: a frame like DataFrame[Model] or pd.DataFrame makes it an input"
    near = "" if is_input else did_you_mean(name, known)
    hint = f"{near} {way}" if near else f"{way}, a plain type a parameter"
    return f"Expected an annotation of parameter {name!r}, found none", hint


def _unreadable_schema(name: str, error: Exception) -> tuple[str, str]:
    if isinstance(error, DefinitionError):
        return f"Expected a schema for {name!r} that can be read, found: {error.error}", error.hint
    found = f"{type(error).__name__}: {error}"
    return (
        f"Expected a schema for {name!r} that can be read, found {found}",
        "call its to_schema() in a Python shell to see more",
    )


def frame_of(name: str, annotation: Any) -> Frame | None:
    """Read an annotation as a frame; None when it is none. Raises what a schema raises."""
    found = schema_of_annotation(annotation)
    return None if found is None else Frame(name, *found)


def _outputs(
    signature: Signature, declaration: FunctionDeclaration, name: str, hints: Mapping[str, Any]
) -> None:
    annotation = hints.get("return", EMPTY)
    declared = declaration.outputs
    try:
        if declared is None:
            signature.outputs.append(_single(name, annotation))
        else:
            signature.outputs.extend(_several(declared, annotation))
    except DefinitionError as error:
        signature.problems.append((error.error, error.hint))
    except Exception as error:  # noqa: BLE001 - schemas are user code
        signature.problems.append(_unreadable_schema(name, error))


def _single(name: str, annotation: Any) -> Frame:
    hint = "write -> DataFrame[Model], pd.DataFrame, pl.DataFrame, pl.LazyFrame or pa.Table"
    if annotation is EMPTY:
        raise DefinitionError(
            f"Expected an annotation of what asset {name!r} returns, found none", hint=hint
        )
    frame = frame_of(name, annotation)
    if frame is None:
        raise DefinitionError(
            f"Expected asset {name!r} to return a frame, found {_shown(annotation)}",
            hint=hint + "; several assets are declared with outputs=",
        )
    return frame


def _several(declared: Mapping[str, Any] | Sequence[str], annotation: Any) -> list[Frame]:
    """Read `outputs=`: what it says goes before what the return annotation says."""
    if isinstance(declared, str) or not isinstance(declared, Mapping | list | tuple):
        raise DefinitionError(
            f"Expected outputs as a list of names or a dict, found {declared!r}",
            hint='write outputs={"a": SchemaA, "b": SchemaB} or outputs=["a", "b"]',
        )
    schemas = declared if isinstance(declared, Mapping) else dict.fromkeys(declared)
    if not schemas:
        raise DefinitionError("Expected at least one of outputs, found none", hint="name them")
    frames = []
    for (name, schema), returned in zip(
        schemas.items(), _returned(annotation, len(schemas)), strict=True
    ):
        frame = frame_of(name, returned) if returned is not EMPTY else None
        frame = frame or Frame(name, "object")
        if is_schema(schema):
            frame = Frame(name, frame.given, schema)
        elif schema is not None:
            stated = frame_of(name, schema)
            if stated is None:
                raise DefinitionError(
                    f"Expected a schema or a frame for output {name!r}, found {_shown(schema)}",
                    hint='write outputs={"name": Model}, or None without a schema',
                )
            frame = stated
        frames.append(frame)
    return frames


def _returned(annotation: Any, count: int) -> list[Any]:
    """Give what is returned for each output, EMPTY where the annotation does not say."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is tuple and Ellipsis not in arguments:
        if len(arguments) != count:
            raise DefinitionError(
                f"Expected {count} outputs to be returned, found {_shown(annotation)}",
                hint="return one for each of outputs, in their order, or a dict by name",
            )
        return list(arguments)
    if arguments and origin in (tuple, dict):
        return [arguments[0 if origin is tuple else 1]] * count
    return [EMPTY] * count


def _known_parameters(
    signature: Signature,
    option: str,
    declaration: FunctionDeclaration,
    parameters: Mapping[str, Any],
) -> None:
    value = getattr(declaration, option)
    for name in (value,) if isinstance(value, str) else value:
        if name not in parameters:
            signature.problems.append(
                (
                    f"Expected a parameter of the function in {option}, found {name!r}",
                    did_you_mean(str(name), parameters, f"it has: {', '.join(parameters)}"),
                )
            )


def _shown(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else repr(annotation)
