"""Where events come from. The constructors that users call load on first use (PEP 562)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from afresh.sensors.file_spec import files

__all__ = ["files"]

_HOMES = {"files": "afresh.sensors.file_spec"}


def __getattr__(name: str) -> Any:
    """Load a constructor from its home: the daemon needs none of them."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    msg = f"module 'afresh.sensors' has no attribute {name!r}"
    raise AttributeError(msg)
