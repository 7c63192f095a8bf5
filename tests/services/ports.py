"""Free ports of the loopback interface, for servers that are started a moment later.

None of those that the kernel gives to outgoing connections: one of a test that runs beside could
have it by then, or while its server is down for a while.
"""

import socket
from pathlib import Path
from random import SystemRandom

_FIRST = 12_000
_given: set[int] = set()


def free_ports(count: int) -> list[int]:
    """Find as many ports that nobody listens on, and that were not given before."""
    outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    end = outgoing if outgoing > 2 * _FIRST else 1 << 16
    chance = SystemRandom()  # other processes look as well
    found: list[int] = []
    while len(found) < count:
        port = chance.randrange(_FIRST, end)
        if port not in _given and _is_free(port):
            _given.add(port)
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as sock:
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Find one."""
    (port,) = free_ports(1)
    return port
