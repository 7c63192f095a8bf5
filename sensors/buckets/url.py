"""URLs of objects: what users write, and how the journal writes the URL of one object.

A path is the bucket's name and the object's, `lake/flights/1.parquet`; of `file://` it is the
absolute path without its first slash.
"""

from afresh.assets.errors import DefinitionError, UsageError
from afresh.assets.partition import decode_part, encode_part

PROTOCOLS = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gs",
    "gcs": "gs",
    "az": "az",
    "abfs": "az",
    "abfss": "az",
    "adl": "az",
    "memory": "memory",
    "file": "file",
    "local": "file",
}
"""What people write, and the name that stands in the journal. Others of fsspec stay as they are."""


def split_url(url: object) -> tuple[str, str]:
    """Give protocol and path of a URL pattern. Raises DefinitionError for what is none."""
    text = url if isinstance(url, str) else ""
    protocol, found, path = text.partition("://")
    if not found or not protocol or not path.strip("/"):
        raise DefinitionError(
            f"Expected the URL of objects, found {url!r}",
            hint='write bucket("s3://lake/flights/{day}.parquet")',
        )
    place = path.split("/", 1)[0]
    if "@" in place and ":" in place.partition("@")[0]:
        raise DefinitionError(
            "Expected a URL without credentials, found some before the @",
            hint="give them by the environment, or by storage_options={'key': env(\"NAME\")}",
        )
    protocol = PROTOCOLS.get(protocol.lower(), protocol.lower())
    if protocol == "file" and not path.startswith("/"):
        raise DefinitionError(
            f"Expected an absolute path, found {url!r}",
            hint='write file:///data/{day}.csv, or watch the project\'s own files by files("...")',
        )
    return protocol, path.removeprefix("/")


def object_uri(protocol: str, path: str) -> str:
    """Write an object's URL: each part as in keys, `?` and `#` encoded too."""
    name = "/".join(map(_encode, path.split("/")))
    return f"{protocol}://{'/' if protocol == 'file' else ''}{name}"


def object_path(uri: str) -> str:
    """Give the path of an object's URL. Raises UsageError for what `object_uri` does not write."""
    _, found, name = uri.partition("://")
    if not found:
        raise UsageError(f"Expected the URL of an object, found {uri!r}")
    return "/".join(decode_part(part) if part else "" for part in name.removeprefix("/").split("/"))


def _encode(part: str) -> str:
    return encode_part(part).replace("?", "%3F").replace("#", "%23") if part else ""
