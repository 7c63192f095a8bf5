"""afresh: an event-driven, data-aware asset orchestrator. The public names, loaded on first use."""

# Known to type checkers; importing typing costs 7 ms, and the command line imports this first.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from afresh.assets.context import Context, Partition
    from afresh.assets.declare import asset, source
    from afresh.assets.manifest import Retry
    from afresh.assets.refresh import all_new, any_new, cron, debounce, every, freshness, manual

__version__ = "0.1.0"
__all__ = [
    "Context",
    "Partition",
    "Retry",
    "__version__",
    "all_new",
    "any_new",
    "asset",
    "cron",
    "debounce",
    "every",
    "freshness",
    "manual",
    "source",
]

_HOMES = {
    "context": {"Context", "Partition"},
    "declare": {"asset", "source"},
    "manifest": {"Retry"},
    "refresh": {"all_new", "any_new", "cron", "debounce", "every", "freshness", "manual"},
}


def __getattr__(name: str) -> object:
    """Load a public name from its home (PEP 562)."""
    for home, names in _HOMES.items():
        if name in names:
            # Lazy: a definition module needs it, the command line does not.
            from importlib import import_module  # noqa: PLC0415

            return getattr(import_module(f"afresh.assets.{home}"), name)
    msg = f"module 'afresh' has no attribute {name!r}"
    raise AttributeError(msg)
