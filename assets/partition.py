"""Partition keys: how paths give them, how they are written, and references that name them.

A key is the captured values of a path, each percent-encoded, joined by commas; "" where nothing is
captured. Written so, a key fits on one line of a terminal, between brackets, and in JSON.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import Literal

import msgspec

from afresh.assets.errors import DefinitionError, UsageError

COMPRESSIONS = (".gz", ".bz2", ".zst", ".xz")
"""Suffixes that belong to the format, not to the name: `{day}.csv` matches `2024.csv.gz` too."""

ASSET_NAME = r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*"

_RESERVED = frozenset("%,[]@*")
_PLAIN = re.compile(r"[A-Za-z0-9_.\-/ :+=~]*")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_TEMPORARY_SUFFIXES = ("~", ".part", ".tmp")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TOKEN = re.compile(r"\{([^{}]*)\}|(\*\*|\*|\?)|([{}])")
_CAPTURE = re.compile(r"\{([^{}]*)\}")
_REF = re.compile(rf"({ASSET_NAME})(?:\[([^\[\]]*)\])?(?:@(.*))?", re.DOTALL)
_VERSION = re.compile(r"[1-9][0-9]{0,17}")
_TAG = re.compile(r"[A-Za-z][A-Za-z0-9._\-]*")
_NAME = re.compile(ASSET_NAME)


def encode_part(value: str) -> str:
    """Write one captured value as it stands in a key; bytes that are not UTF-8 are lone surrogates.

    Raises UsageError for an empty value and for text that is not of any file name.
    """
    if value and _PLAIN.fullmatch(value):
        return value
    if not value:
        raise UsageError(
            "Expected a value for a partition key, found an empty one",
            hint="a key is never empty: give every part of it a character",
        )
    return "".join(_encode_character(c) for c in _canonical(value))


def decode_part(text: str) -> str:
    """Give back the value of a part. Raises UsageError for a `%` without two hex digits."""
    if not text:
        raise UsageError(
            "Expected a value for a partition key, found an empty one",
            hint="a key is never empty: give every part of it a character",
        )
    if "%" not in text:
        return _canonical(text)
    if text.count("%") != len(_ESCAPE.findall(text)):
        raise UsageError(
            f"Expected two hex digits after each % of a key, found {text!r}",
            hint="write % itself as %25",
        )
    raw = re.sub(
        rb"%([0-9A-Fa-f]{2})",
        lambda found: bytes.fromhex(found[1].decode()),
        _bytes(text),
    )
    return raw.decode("utf-8", "surrogateescape")


def encode_key(values: Sequence[str]) -> str:
    """Make the key of these captured values, in the order of the pattern; "" for none."""
    return ",".join(map(encode_part, values))


def decode_key(key: str) -> tuple[str, ...]:
    """Give back the values that a key was made of; () for ""."""
    return tuple(map(decode_part, key.split(","))) if key else ()


def is_temporary(filename: str) -> bool:
    """Is this a name that writers use for what is not finished: `.*`, `*~`, `*.part`, `*.tmp`."""
    return filename.startswith(".") or filename.endswith(_TEMPORARY_SUFFIXES)


def is_asset_name(text: str) -> bool:
    """Is this a name for an asset: identifiers of ASCII letters, digits and `_`, joined by dots."""
    return _NAME.fullmatch(text) is not None


class Pattern(msgspec.Struct, frozen=True):
    """A path pattern below the project, such as `landing/{day}/{region}.csv`.

    `{name}` captures what stands there within one path part, `*` and `?` match within a part, `**`
    any number of folders. Nothing of it matches a leading dot. `root` is the folder below which all
    matches are ("" is the project itself); `recursive`: matches may be in folders below `root`.
    """

    text: str
    root: str
    recursive: bool
    captures: tuple[str, ...]
    regex: re.Pattern[str] | None
    """None for the name of one file: thousands of sources may be such, a regex is 2 KB each."""

    @classmethod
    def parse(cls, text: str) -> "Pattern":
        """Read a pattern. Raises DefinitionError when it leaves the project or cannot match."""
        parts = _pattern_parts(text)
        fixed = 0
        while fixed < len(parts) - 1 and not _TOKEN.search(parts[fixed]):
            fixed += 1
        captures: list[str] = []
        regex = ""
        for i, part in enumerate(parts):
            last = i == len(parts) - 1
            if part == "**":
                regex += r"(?:(?!\.)[^/]+/)*" + (r"(?!\.)[^/]+" if last else "")
            else:
                regex += _part_regex(text, part, captures) + ("" if last else "/")
        if not parts[-1].endswith(COMPRESSIONS):
            regex += "(?:" + "|".join(map(re.escape, COMPRESSIONS)) + ")?"
        return cls(
            text=text,
            root="/".join(parts[:fixed]),
            recursive=len(parts) - fixed > 1 or parts[-1] == "**",
            captures=tuple(captures),
            regex=re.compile(regex, re.DOTALL) if any(map(_TOKEN.search, parts)) else None,
        )

    def match(self, path: str) -> str | None:
        """Give the key of a project-relative path, None if it does not match or is temporary."""
        if self.regex is None:
            name = self.text.removeprefix("./")
            suffix = path.removeprefix(name) if path.startswith(name) else None
            compressed = suffix in COMPRESSIONS and not name.endswith(COMPRESSIONS)
            return "" if compressed or suffix == "" else None
        found = self.regex.fullmatch(path)
        if found is None or is_temporary(path.rpartition("/")[2]):
            return None
        if not all(part.strip(".") or len(part) > 2 for part in path.split("/")):
            return None
        return encode_key([found[name] for name in self.captures])

    def values(self, key: str) -> dict[str, str]:
        """Give what each capture stands for. Raises UsageError for a key of other dimensions."""
        values = decode_key(key)
        if len(values) != len(self.captures):
            raise UsageError(
                f"Expected a key of {len(self.captures)} part(s), found {key!r}",
                hint=f"the pattern is {self.text}",
            )
        return dict(zip(self.captures, values, strict=True))


class Ref(msgspec.Struct, frozen=True):
    """What a reference names: an asset, maybe one partition (encoded key), maybe one version.

    `version` is a number, "latest", or a tag.
    """

    asset: str
    partition: str | None = None
    version: int | Literal["latest"] | str | None = None  # noqa: PYI051 - says what it can be


def parse_ref(text: str) -> Ref:
    """Read `orders`, `orders[eu,2024-01-02]@12`, `orders@latest`, `orders@v1.4`, or UsageError."""
    found = _REF.fullmatch(text)
    if found is None:
        raise UsageError(
            f"Expected a reference like orders[2024-01-02]@12, found {text!r}",
            hint="in a key, write % , [ ] @ * as %25 %2C %5B %5D %40 %2A",
        )
    asset, key, version = found.groups()
    if key is not None:
        if "*" in key or "@" in key:
            raise UsageError(
                f"Expected one partition, found {text!r}",
                hint="in a key, write * as %2A and @ as %40",
            )
        key = encode_key(tuple(map(decode_part, key.split(","))))
    return Ref(asset, key, None if version is None else _version(text, version))


def format_ref(asset: str, partition: str | None, version: int | str | None = None) -> str:
    """Write a reference; `partition` is an encoded key, "" or None for none."""
    key = f"[{partition}]" if partition else ""
    return f"{asset}{key}" + (f"@{version}" if version is not None else "")


def _version(text: str, version: str) -> int | str:
    if _VERSION.fullmatch(version):
        return int(version)
    if _TAG.fullmatch(version):
        return version
    raise UsageError(
        f"Expected a version after @, found {text!r}",
        hint="a version is a number from 1, latest, or a tag that starts with a letter",
    )


def _bytes(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise UsageError(
            f"Expected text that a file name can hold, found {text!a}",
            hint="lone surrogates other than U+DC80 to U+DCFF stand for nothing",
        ) from error


def _canonical(text: str) -> str:
    """As os.fsdecode would give it: surrogates that together are UTF-8 become the character."""
    return text if text.isascii() else _bytes(text).decode("utf-8", "surrogateescape")


def _encode_character(c: str) -> str:
    # Zl and Zp break lines as control characters do.
    if c in _RESERVED or unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp"):
        return "".join(f"%{byte:02X}" for byte in c.encode("utf-8", "surrogateescape"))
    return c


def _pattern_parts(text: str) -> list[str]:
    parts = text.removeprefix("./").split("/")
    if text.startswith("/") or ".." in parts:
        raise DefinitionError(
            f"Expected a path pattern below the project, found {text!r}",
            hint="write it relative to the project, without '..'; link other folders into it",
        )
    if "" in parts or "." in parts or any(unicodedata.category(c) in ("Cc", "Cs") for c in text):
        raise DefinitionError(
            f"Expected a path pattern like landing/{{day}}.csv, found {text!r}",
            hint="it names files: no empty part, no '.' part, no control characters",
        )
    if any("**" in part and part != "**" for part in parts):
        raise DefinitionError(
            f"Expected ** to stand alone between slashes, found {text!r}",
            hint="write landing/**/{name}.csv",
        )
    if is_temporary(parts[-1]):
        raise DefinitionError(
            f"Expected names of finished files, found {text!r}",
            hint="names like .*, *~, *.part and *.tmp are of unfinished files, and ignored",
        )
    return parts


def _part_regex(text: str, part: str, captures: list[str]) -> str:
    """Build the regular expression of one path part; append the captures that are new in it."""
    regex, at, adjacent = "", 0, False
    # What ends at the first place it can never needs to end elsewhere: without this a hostile name
    # of 255 characters could take minutes. It does not hold for names that recur, and for `?`.
    atomic = "?" not in text and len(set(_CAPTURE.findall(text))) == text.count("{")
    for token in _TOKEN.finditer(part):
        literal = part[at : token.start()]
        name, wildcard, brace = token.groups()
        if brace or (name is not None and not _IDENTIFIER.fullmatch(name)):
            raise DefinitionError(
                f"Expected {{name}} around what is captured, found {text!r}",
                hint="names are ASCII letters, digits and _, and do not start with a digit",
            )
        if adjacent and not literal:
            raise DefinitionError(
                f"Expected something between two captures or wildcards, found {text!r}",
                hint="otherwise nothing says where the one ends and the other begins",
            )
        regex += re.escape(literal) + (")" if atomic and adjacent else "")
        if not token.start():
            regex += r"(?!\.)"
        adjacent = wildcard != "?"
        if atomic and adjacent and _TOKEN.search(part, token.end()):
            regex += "(?>"
        if name is None:
            regex += "[^/]" if wildcard == "?" else "[^/]*?"
        elif name in captures:
            regex += f"(?P={name})"
        else:
            regex += f"(?P<{name}>[^/]+?)"
            captures.append(name)
        at = token.end()
    return regex + re.escape(part[at:])
