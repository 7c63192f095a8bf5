"""What makes a sensor another one, when definitions change."""

from afresh.assets.manifest import Manifest, Sensor

Declared = tuple[Sensor, tuple[str, ...], str]
"""What a sensor is made from, its keys, and of users' code the definitions that it is of."""


def declarations(manifest: Manifest) -> dict[str, Declared]:
    """What each sensor is declared as, by name: one that is declared alike goes on."""
    return {
        source.name: (
            source.sensor,
            source.captures,
            manifest.digest if source.sensor.kind == "custom" else "",
        )
        for source in manifest.sources
    }
