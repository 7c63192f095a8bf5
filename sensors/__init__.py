"""Where events come from. The constructors that users call load on first use (PEP 562)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from afresh.sensors.buckets.spec import bucket
    from afresh.sensors.custom_spec import custom
    from afresh.sensors.folders.spec import files
    from afresh.sensors.kafka_topics.spec import kafka
    from afresh.sensors.records import Record
    from afresh.sensors.secret import env, secret_file
    from afresh.sensors.upstreams.spec import upstream
    from afresh.sensors.webhooks.spec import webhook

__all__ = [
    "Record",
    "bucket",
    "custom",
    "env",
    "files",
    "kafka",
    "secret_file",
    "upstream",
    "webhook",
]

_HOMES = {
    "Record": "afresh.sensors.records",
    "bucket": "afresh.sensors.buckets.spec",
    "custom": "afresh.sensors.custom_spec",
    "env": "afresh.sensors.secret",
    "files": "afresh.sensors.folders.spec",
    "kafka": "afresh.sensors.kafka_topics.spec",
    "secret_file": "afresh.sensors.secret",
    "upstream": "afresh.sensors.upstreams.spec",
    "webhook": "afresh.sensors.webhooks.spec",
}


def __getattr__(name: str) -> Any:
    """Load a constructor from its home: the daemon needs none of them."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    msg = f"module 'afresh.sensors' has no attribute {name!r}"
    raise AttributeError(msg)
