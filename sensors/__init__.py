"""Where events come from. The constructors that users call load on first use (PEP 562)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from afresh.sensors.file_spec import files
    from afresh.sensors.kafka.spec import kafka
    from afresh.sensors.secret import env, secret_file
    from afresh.sensors.webhook.spec import webhook

__all__ = ["env", "files", "kafka", "secret_file", "webhook"]

_HOMES = {
    "env": "afresh.sensors.secret",
    "files": "afresh.sensors.file_spec",
    "kafka": "afresh.sensors.kafka.spec",
    "secret_file": "afresh.sensors.secret",
    "webhook": "afresh.sensors.webhook.spec",
}


def __getattr__(name: str) -> Any:
    """Load a constructor from its home: the daemon needs none of them."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    msg = f"module 'afresh.sensors' has no attribute {name!r}"
    raise AttributeError(msg)
