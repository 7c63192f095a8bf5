"""What a worker holds of a generation: functions that can be called, schemas that can validate."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from afresh.assets.manifest import Function, Manifest, Source


@dataclass(frozen=True, slots=True)
class LiveFunction:
    """A function to call. `inputs` by parameter and `outputs` by asset are schema objects or None.

    `parameters` are the validated values of its plain parameters.
    """

    declaration: Function
    callable: Callable[..., Any]
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LiveSource:
    """A source with its schema object (None without)."""

    declaration: Source
    schema: Any


@dataclass(frozen=True, slots=True)
class Loaded:
    """A generation: `functions` and `sources` by the names that tasks give."""

    manifest: Manifest
    functions: Mapping[str, LiveFunction] = field(default_factory=dict)
    sources: Mapping[str, LiveSource] = field(default_factory=dict)
