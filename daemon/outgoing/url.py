"""URLs that the daemon posts to. None is ever shown: the path of a webhook is often its secret."""

from urllib.parse import SplitResult, urlsplit


def split_url(url: str) -> SplitResult:
    """Take a URL apart: with http or https, a host, a port that there can be. Raises ValueError."""
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("Expected a URL of ASCII without spaces, percent-encoded, found others")
    try:
        parts = urlsplit(url)
        is_whole = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # no IPv6 address, no port
        is_whole = False
    if not is_whole:
        raise ValueError("Expected a URL with http or https, a host and maybe a port, found none")
    return parts
