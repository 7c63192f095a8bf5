"""Tells a service manager (systemd) that the daemon is ready, stopping or alive.

The sd_notify protocol is one datagram to the socket in NOTIFY_SOCKET. Without that variable
nothing happens. Nothing here raises: a deaf manager is no reason to stop.
"""

import os
import socket


def ready(status: str = "") -> bool:
    """Say that the daemon watches; `status` is one line for people. True if it was sent."""
    line = " ".join(status.splitlines())
    return _send(f"READY=1\nSTATUS={line}" if line else "READY=1")


def stopping() -> bool:
    """Say that a stop has begun. True if it was sent."""
    return _send("STOPPING=1")


def alive() -> bool:
    """Say that the loop turns; due every `alive_interval_seconds`. True if it was sent."""
    return _send("WATCHDOG=1")


def alive_interval_seconds() -> float | None:
    """How often the manager wants to hear `alive`: half its limit. None: it does not ask."""
    limit = os.environ.get("WATCHDOG_USEC", "")
    asked_of = os.environ.get("WATCHDOG_PID", str(os.getpid()))
    if not limit.isdecimal() or int(limit) == 0 or asked_of != str(os.getpid()):
        return None
    return int(limit) / 2_000_000


def _send(message: str) -> bool:
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):  # an abstract socket
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as outgoing:
            outgoing.setblocking(False)
            outgoing.sendto(message.encode(), address)
    except OSError:
        return False
    return True
