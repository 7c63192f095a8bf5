"""How a path is written in the journal, and back: relative to the project, parts as in keys."""

from afresh.assets.errors import UsageError
from afresh.assets.partition import decode_part, encode_part


def uri_of(path: str, project: str) -> str:
    """Write an absolute path (as os.fsdecode gives it), relative to the project if below it."""
    prefix = project.rstrip("/") + "/"
    inside = path.startswith(prefix)
    parts = (path[len(prefix) :] if inside else path[1:]).split("/")
    return ("" if inside else "/") + "/".join(map(encode_part, parts))


def path_of(uri: str, project: str) -> str:
    """Give the absolute path that a uri names, as os.fsdecode would; the URL of an object as it is.

    Raises UsageError for what no path is written as, such as `..` or a `/` within a part.
    """
    if "://" in uri:  # no path has an empty part
        return uri
    parts = [decode_part(part) for part in uri.removeprefix("/").split("/")]
    if any(part in {".", ".."} or "/" in part or "\0" in part for part in parts):
        raise UsageError(
            f"Expected the uri of a file, found {uri!r}",
            hint="it is the path relative to the project, without . and ..",
        )
    return "/".join(["" if uri.startswith("/") else project.rstrip("/"), *parts])
