"""What S3 says in a message: by itself, through SNS, or as EventBridge writes it. Pure."""

from typing import Any
from urllib.parse import unquote_plus

import msgspec

_TEST = "s3:TestEvent"
_WRAPPED = 3
"""How deep a message may lie in others: SNS in SQS is one."""


def objects_of(body: str) -> list[str] | None:
    """Give the objects that a message tells of, as paths; [] for S3's test message.

    None for a message that is none of S3's.
    """
    for _ in range(_WRAPPED):
        try:
            message = msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError):
            return None
        if not isinstance(message, dict):
            return None
        if message.get("Type") == "Notification" and isinstance(message.get("Message"), str):
            body = message["Message"]
            continue
        return _read(message)
    return None


def _read(message: dict[str, Any]) -> list[str] | None:
    if message.get("Event") == _TEST:
        return []
    try:
        if "Records" in message:
            # Names are encoded as in a form: a blank is +.
            return [
                _path(record["s3"], decode=True) for record in message["Records"] if "s3" in record
            ]
        if message.get("source") == "aws.s3":
            return [_path(message["detail"], decode=False)]
    except (KeyError, TypeError):
        return None
    return None


def _path(of: dict[str, Any], *, decode: bool) -> str:
    bucket, key = str(of["bucket"]["name"]), str(of["object"]["key"])
    return f"{bucket}/{unquote_plus(key, errors='surrogateescape') if decode else key}"
