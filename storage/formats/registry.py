"""Which format a file is of: by its name, or as the source says."""

from importlib.metadata import entry_points

from afresh.assets.errors import UsageError
from afresh.storage.formats.arrow import Arrow
from afresh.storage.formats.base import Format
from afresh.storage.formats.compression import SUFFIXES
from afresh.storage.formats.csv import Csv
from afresh.storage.formats.jsonl import JsonLines
from afresh.storage.formats.parquet import Parquet

FORMATS: tuple[Format, ...] = (Csv(), JsonLines(), Parquet(), Arrow())
ENTRY_POINTS = "afresh.formats"
"""Others' formats: each entry is a class without arguments that meets `Format`."""


def detect(filename: str, name: str = "") -> tuple[Format, str]:
    """Give the format and the compression ("" for none) of a file name.

    `name` is the format that the source declares; without one the suffix decides, the last but one
    for `d.csv.gz`. Raises UsageError for a name or suffix that no format has.
    """
    lower = filename.lower()
    compression = ""
    for suffix, kind in SUFFIXES.items():
        if lower.endswith(suffix):
            lower, compression = lower.removesuffix(suffix), kind
            break
    if name:
        return _named(name), compression
    for known in FORMATS:
        if lower.endswith(known.suffixes):
            return known, compression
    for other in _installed():
        if lower.endswith(other.suffixes):
            return other, compression
    suffixes = ", ".join(suffix for known in FORMATS for suffix in known.suffixes)
    raise UsageError(
        f"Expected a suffix that tells the format ({suffixes}), found {filename!r}",
        hint='say which one it is: format="csv"',
    )


def _named(name: str) -> Format:
    for known in FORMATS:
        if known.name == name:
            return known
    for other in _installed():
        if other.name == name:
            return other
    raise UsageError(
        f"Expected a format ({', '.join(known.name for known in FORMATS)}), found {name!r}",
        hint="correct format=",
    )


def _installed() -> list[Format]:
    return [entry.load()() for entry in entry_points(group=ENTRY_POINTS)]
