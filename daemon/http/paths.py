"""The paths that sources declare: what may be called at the daemon's server."""

from afresh.assets.manifest import Manifest


def declared_paths(manifest: Manifest) -> set[str]:
    """Name the paths of the webhooks that are declared."""
    sensors = [source.sensor for source in manifest.sources]
    paths = {str(s.options["path"]) for s in sensors if "path" in s.options}
    return paths | hint_paths(manifest)


def hint_paths(manifest: Manifest) -> set[str]:
    """Name the paths at which object stores tell of changes: nobody else listens for those."""
    told = [str(source.sensor.options.get("notifications", "")) for source in manifest.sources]
    return {text.removeprefix("webhook:") for text in told if text.startswith("webhook:")}
