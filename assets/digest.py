"""Tagged hashing: what is hashed says what it is, and no two lists of parts look alike."""

from blake3 import blake3

LENGTH = 20


def digest(tag: str, *parts: str | bytes) -> str:
    """Hash parts under a name that says what they are, as hex.

    Each part is preceded by its length, so that ("ab", "c") and ("a", "bc") differ. Another way of
    hashing takes another tag: a change of it changes every digest, never silently some.
    """
    pieces = [len(parts).to_bytes(8, "little")]
    for part in (tag, *parts):
        raw = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        pieces.append(len(raw).to_bytes(8, "little"))
        pieces.append(raw)
    return blake3(b"".join(pieces)).hexdigest(length=LENGTH)
