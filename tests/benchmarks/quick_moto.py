"""What of moto is too slow for a hundred thousand objects, done fast: the answers stay the same.

moto sorts all objects for each page, takes 0.4 s to write one of a thousand, lists its own folders
for each request, computes a queue's attributes for each message, and looks through all that were
received for each answer. A page is compared with moto's own when a server starts.
"""

import bisect
from contextlib import closing
from http.client import HTTPConnection
from typing import Any
from xml.etree import ElementTree as ET

from moto import backends
from moto.s3.models import FakeKey, S3Backend
from moto.s3.responses import S3Response
from moto.sqs.models import Queue, SQSBackend

_sorted: list[str] = []
_modules = frozenset(backends.list_of_moto_modules())


def be_quick() -> None:
    """Replace it, in this process."""
    S3Backend.list_objects_v2 = list_sorted  # type: ignore[method-assign, assignment]
    S3Response.list_objects_v2 = page  # type: ignore[method-assign]
    backends.list_of_moto_modules = lambda: _modules
    Queue.pending_message_groups = frozenset()  # type: ignore[assignment, method-assign]
    SQSBackend.is_message_valid_based_on_retention_period = _always  # type: ignore[method-assign, assignment]


def list_sorted(  # noqa: PLR0917 - moto's own arguments
    _backend: S3Backend,
    bucket: Any,
    prefix: str | None,
    delimiter: str | None,
    continuation_token: str | None,
    start_after: str | None,
    max_keys: int,
) -> tuple[list[FakeKey], bool, str | None]:
    """Give a page; there are no folders and no tokens here."""
    del delimiter, continuation_token
    if len(_sorted) != len(bucket.keys):
        _sorted[:] = sorted(bucket.keys)
    prefix = prefix or ""
    begin = bisect.bisect_left(_sorted, prefix)
    if start_after:
        begin = max(begin, bisect.bisect_right(_sorted, start_after))
    names = []
    for name in _sorted[begin : begin + max_keys + 1]:
        if not name.startswith(prefix):
            break
        names.append(name)
    found = (bucket.keys.get(name) for name in names[:max_keys])
    return [key for key in found if key is not None], len(names) > max_keys, None


def page(self: S3Response) -> tuple[int, dict[str, str], bytes]:
    """Answer ListObjectsV2 for names that need no encoding."""
    asked = {name: values[0] for name, values in self.querystring.items()}
    most = int(asked.get("max-keys", "1000"))
    prefix, after = asked.get("prefix", ""), asked.get("start-after")
    bucket = self.backend.head_bucket(self.bucket_name)
    keys, more, _ = list_sorted(self.backend, bucket, prefix, None, None, after, most)
    head = (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>{bucket.name}</Name><Prefix>{prefix}</Prefix><MaxKeys>{most}</MaxKeys>"
        f"<KeyCount>{len(keys)}</KeyCount><IsTruncated>{str(more).lower()}</IsTruncated>"
    )
    text = [
        f"<Contents><Key>{key.name}</Key><LastModified>{key.last_modified_ISO8601}</LastModified>"
        f"<ETag>{key.etag}</ETag><Size>{key.size}</Size>"
        f"<StorageClass>{key.storage_class}</StorageClass></Contents>"
        for key in keys
    ]
    body = f"{head}{''.join(text)}</ListBucketResult>"
    return 200, {"Content-Type": "application/xml"}, body.encode()


def _always(*_: object) -> bool:
    """No message here is as old as a queue keeps one."""
    return True


def compared(port: int, bucket: str, prefix: str) -> None:
    """Be quick, and compare a small page with the one of before. Raises RuntimeError."""
    slow = contents(port, bucket, prefix)
    be_quick()
    if contents(port, bucket, prefix) != slow or not slow:
        raise RuntimeError("Expected the page that moto gives, found another")


def contents(port: int, bucket: str, prefix: str) -> list[dict[str, str]]:
    """Ask for a page; what it tells of each object."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", f"/{bucket}?list-type=2&max-keys=5&prefix={prefix}")
        body = connection.getresponse().read()
    root = ET.fromstring(body)  # noqa: S314 - of a server of ours
    space = root.tag.partition("}")[0] + "}"
    return [
        {part.tag: part.text or "" for part in item} for item in root.iterfind(f"{space}Contents")
    ]
