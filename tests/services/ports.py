"""Free ports of the loopback interface, for servers that are started a moment later."""

import socket
from contextlib import ExitStack


def free_ports(count: int) -> list[int]:
    """Find as many ports that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def free_port() -> int:
    """Find one."""
    (port,) = free_ports(1)
    return port
