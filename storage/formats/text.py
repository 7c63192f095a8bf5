"""What all text formats share: encodings, NUL bytes, how far in the file something is."""

import codecs

from afresh.assets.errors import UnreadableData, UsageError
from afresh.storage.formats.base import Options, unreadable

_BOMS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_MAGIC = {
    b"\x1f\x8b": "gzip (.gz)",
    b"BZh": "bzip2 (.bz2)",
    b"\x28\xb5\x2f\xfd": "Zstandard (.zst)",
    b"\xfd7zXZ\x00": "xz (.xz)",
    b"PAR1": "Parquet (.parquet)",
    b"ARROW1": "Arrow (.arrow)",
    b"PK\x03\x04": "a zip archive",
}


def as_utf8(data: bytes, options: Options) -> bytes:
    """Give the text in UTF-8, without a byte order mark. Raises UnreadableData, with the place."""
    name = str(options.get("encoding") or "utf-8")
    try:
        encoding = codecs.lookup(name).name
    except LookupError as error:
        raise UsageError(
            f"Expected the name of an encoding, found {name!r}", hint='for example "latin-1"'
        ) from error
    head = data[:8]
    if encoding in ("utf-8", "utf-8-sig", "ascii"):
        _check_head(head)
        if head.startswith(codecs.BOM_UTF8):
            data = data[3:]
    else:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError as error:
            raise _other_encoding(data, encoding, error) from error
        data = text.removeprefix("\ufeff").encode()
    _check_nul(data)
    return data


def check_utf8(data: bytes) -> None:
    """Raise UnreadableData at the first byte that is not UTF-8."""
    if data.isascii():
        return
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise _other_encoding(data, "utf-8", error) from error


def line_at(raw: bytes, offset: int) -> int:
    """Count the lines up to an offset, from 1."""
    return raw.count(b"\n", 0, offset) + 1


def _check_head(head: bytes) -> None:
    for mark, name in _BOMS.items():
        if head.startswith(mark):
            raise unreadable(
                f"Expected text in utf-8, found the byte order mark of {name}",
                hint=f'say options={{"encoding": "{name}"}}',
            )
    for magic, name in _MAGIC.items():
        if head.startswith(magic):
            raise unreadable(
                f"Expected text, found what looks like {name}", hint="correct the file's suffix"
            )


def _check_nul(data: bytes) -> None:
    offset = data.find(b"\0")
    if offset >= 0:
        raise unreadable(
            f"Expected text, found a NUL byte at offset {offset}",
            line=line_at(data, offset),
            hint="the file is damaged, binary, or in another encoding",
        )


def _other_encoding(raw: bytes, name: str, error: UnicodeDecodeError) -> UnreadableData:
    return unreadable(
        f"Expected text in {name}, found byte 0x{raw[error.start]:02x} at offset {error.start}",
        line=line_at(raw, error.start),
        hint='name the encoding: options={"encoding": "latin-1"}',
    )
