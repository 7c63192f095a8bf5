"""Where artifacts lie: `<base>/<asset>/<key>/<run>-<output>.parquet`. Pure naming, no I/O.

A run's artifact is written straight to this name, which nobody reads before the ledger's commit
makes it visible (P2). The run's row carries it, so a start-up can collect what was interrupted.
"""

from hashlib import blake2b
from urllib.parse import quote

SUFFIX = ".parquet"
_LONGEST = 120
"""Bytes of one part of the path; a file name may have 255, and two such parts make one."""


def artifact_uri(base: str, asset: str, partition: str, run: str, output: str) -> str:
    """Name a new artifact below `base`, a local folder or an fsspec URL.

    Every part is safe on every file system and never leads out of `base`. Distinct (run, output)
    give distinct names; so do distinct units, up to a hash for long keys.
    """
    folder = _part(partition) if partition else "_"
    name = f"{_part(run)}-{_part(output)}{SUFFIX}"
    return "/".join((_folder(base), _part(asset), folder, name))


def merged_uri(uri: str) -> str:
    """Name what a run may write beside its artifact: older segments of the stream as one."""
    return f"{uri.removesuffix(SUFFIX)}-merged{SUFFIX}"


def below(base: str, uri: str) -> bool:
    """Whether `uri` is one that `artifact_uri` could have given for this base."""
    inside = uri.removeprefix(_folder(base) + "/")
    parts = inside.split("/")
    return inside != uri and len(parts) == 3 and not {"", ".", ".."} & set(parts)


def rebased(base: str, uri: str) -> str:
    """The same artifact below another base."""
    return "/".join((_folder(base), *uri.rsplit("/", 3)[1:]))


def _folder(base: str) -> str:
    """Without a slash at the end, but for what a scheme ends with (`memory://`)."""
    stripped = base.rstrip("/")
    return base.removesuffix("/") if stripped.endswith(":") else stripped


def _part(text: str) -> str:
    """One part of a path: letters, digits and `_.-=,+` stay, the rest is percent-encoded."""
    name = quote(text.encode("utf-8", "surrogatepass"), safe="_.-=,+").replace("~", "%7E")
    if name.startswith(".") or name == "_":  # hidden, `..`, and the folder of no partition
        name = f"%{ord(name[0]):02X}{name[1:]}"
    if len(name) <= _LONGEST:
        return name
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    kept = name[: _LONGEST - len(digest) - 1]
    cut = kept.rfind("%", len(kept) - 2)  # not in the middle of an encoded byte
    return f"{kept[:cut] if cut >= 0 else kept}~{digest}"
