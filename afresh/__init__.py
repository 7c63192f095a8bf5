"""afresh: an event-driven, data-aware asset orchestrator. The public names, loaded on first use."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from afresh.assets.declare import Context, Partition, asset, source

__version__ = "0.1.0"
__all__ = ["Context", "Partition", "__version__", "asset", "source"]

_HOMES = {
    "Context": "afresh.assets.declare",
    "Partition": "afresh.assets.declare",
    "asset": "afresh.assets.declare",
    "source": "afresh.assets.declare",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its home (PEP 562): the command line imports this package first."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    msg = f"module 'afresh' has no attribute {name!r}"
    raise AttributeError(msg)
