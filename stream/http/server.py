"""The HTTP server, in a thread of its own beside the loop."""

import contextlib
import threading
from collections.abc import Iterator

import structlog
import uvicorn

from stream.http.access import Access, Address
from stream.http.application import Application
from stream.http.connections import Connection
from stream.http.view import View

log = structlog.get_logger()

STOP = 3.0  # seconds that answers which are under way may take at a stop


@contextlib.contextmanager
def serving(view: View, access: Access) -> Iterator[int]:
    """Serve until the block ends; yields the port, once the log says where. Raises UsageError where the
    address cannot be bound."""
    listener = access.listen()
    application = Application(view, access)
    config = uvicorn.Config(
        application,
        loop="asyncio",
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",  # what is wrong with a request is told to whoever sent it
        access_log=False,
        server_header=False,
        proxy_headers=False,  # who asks is never taken from a header
        h11_max_incomplete_event_size=64 << 10,  # of a request's head: a key may be long
        timeout_graceful_shutdown=int(STOP),
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), name="http", daemon=True)
    thread.start()
    try:
        port = listener.getsockname()[1]
        log.info("http", address=str(Address(access.address.host, port)))
        yield port
    finally:
        application.stop()
        server.should_exit = True
        thread.join(2 * STOP)
        application.close()
        listener.close()
