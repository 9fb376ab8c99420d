"""When a broker is up: not when its port opens, but when it names itself a live member of its cluster."""

import logging
import socket

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from localbroker.properties import HOST


def answers(port: int, timeout: float = 2.0) -> bool:
    """Whether a broker on the port answers within `timeout` seconds with metadata in which a broker is alive."""
    try:
        socket.create_connection((HOST, port), timeout=timeout).close()
    except OSError:
        return False  # cheaper than a client's own attempts, and without its log lines
    milliseconds = int(timeout * 1000)
    try:
        admin = KafkaAdminClient(
            bootstrap_servers=f"{HOST}:{port}", bootstrap_timeout_ms=milliseconds, request_timeout_ms=milliseconds
        )
    except (KafkaError, OSError) as error:
        logging.getLogger(__name__).debug("not up yet: %s", error)
        return False
    try:
        # Until the controller has unfenced it the broker's metadata lists no broker at all.
        return bool(admin.describe_cluster()["brokers"])
    except (KafkaError, OSError):
        return False
    finally:
        admin.close()
