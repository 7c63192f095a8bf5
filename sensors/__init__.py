"""Where events come from. The constructors that users call load on first use (PEP 562)."""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from afresh.sensors.bucket.spec import bucket
    from afresh.sensors.custom_spec import custom
    from afresh.sensors.file_spec import files
    from afresh.sensors.kafka.spec import kafka
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
    "bucket": "afresh.sensors.bucket.spec",
    "custom": "afresh.sensors.custom_spec",
    "env": "afresh.sensors.secret",
    "files": "afresh.sensors.file_spec",
    "kafka": "afresh.sensors.kafka.spec",
    "secret_file": "afresh.sensors.secret",
    "upstream": "afresh.sensors.upstreams.spec",
    "webhook": "afresh.sensors.webhooks.spec",
}


def __getattr__(name: str) -> Any:
    """Load a constructor from its home: the daemon needs none of them."""
    if name in _HOMES:
        found = getattr(import_module(_HOMES[name]), name)
        # A package of the same name has become an attribute by its import: the constructor goes.
        globals()[name] = found
        return found
    msg = f"module 'afresh.sensors' has no attribute {name!r}"
    raise AttributeError(msg)


class _Constructors(ModuleType):
    """Keeps a constructor's name from the package of the same name that holds its sensor.

    An import of `afresh.sensors.kafka.spec` would bind `afresh.sensors.kafka` to that package.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if name not in _HOMES or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Constructors
