"""Free TCP ports on the loopback interface. Pure but for the look at the ports themselves."""

import random
import socket

from localbroker.properties import HOST

# Below the range from which Linux (32768) and macOS (49152) give ports to outgoing connections: a client that keeps
# trying to reach a broker that is down could otherwise be given the broker's own port, and hold it.
_RANGE = range(20000, 32768)


def is_free(port: int) -> bool:
    """Whether a server could listen on it now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Java does: TIME_WAIT is no obstacle
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port(besides: int | None = None) -> int:
    """A port other than `besides` on which nothing listens now; something may the next moment."""
    return next(port for port in random.sample(_RANGE, len(_RANGE)) if port != besides and is_free(port))
