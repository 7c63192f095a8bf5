"""What to look at when a cluster does not let us in, by what the client heard. No secret in it."""

from collections.abc import Mapping
from typing import Any

import msgspec

from afresh.sensors.secret import Secret

TRIED_AGAIN = "it is tried again until it answers"


def advise(why: str, settings: Mapping[str, Any]) -> str:
    """Give the way out for a reason, in view of what `security=` says."""
    lower = why.lower()
    if "authentication failed" in lower or "saslauthentication" in lower:
        return f"mend username, or what is in {_place(settings.get('password'))}"
    if "unsupportedsaslmechanism" in lower or "unsupported mechanism" in lower:
        return f"the broker does not offer sasl {settings.get('sasl')}: write another in security="
    if "hostname mismatch" in lower or "ip address mismatch" in lower:
        return "write servers= as the broker's certificate names them"
    if "certificate verify failed" in lower:
        if settings.get("ca"):
            return (
                f"mend ca, which is {settings['ca']}: it must have signed the broker's certificate"
            )
        return 'write "ca" in security=: the file of who signed the broker\'s certificate'
    if "closed" in lower or "reset" in lower or "alert" in lower:
        return f"{TRIED_AGAIN}; if it never does, {_wanted(settings)}"
    return TRIED_AGAIN


def _wanted(settings: Mapping[str, Any]) -> str:
    """What a broker may want that hangs up without a word."""
    if not settings.get("tls"):
        return 'it may want TLS: write security={"tls": True}'
    if settings.get("certificate"):
        return "it may not know who signed the certificate in security="
    if settings.get("sasl"):
        return 'it may want "certificate" and "key" in security='
    return 'it may want "sasl" or a client\'s "certificate" in security='


def _place(password: object) -> str:
    if password is None:
        return "password"
    return str(msgspec.convert(password, Secret))
