"""SIGTERM and SIGINT as bytes that can be waited for together with everything else."""

import contextlib
import signal
import socket
from collections.abc import Iterator


@contextlib.contextmanager
def belled() -> Iterator[socket.socket]:
    """Yields where their numbers come, a byte each. On the main thread only. They are written the moment they come; a
    handler would run only when the interpreter does, and not while it waits."""
    bell, button = socket.socketpair()
    button.setblocking(False)
    numbers = (signal.SIGTERM, signal.SIGINT)
    with bell, button:
        before = {number: signal.signal(number, lambda *_: None) for number in numbers}
        woken = signal.set_wakeup_fd(button.fileno())
        try:
            yield bell
        finally:
            signal.set_wakeup_fd(woken)
            for number, handler in before.items():
                signal.signal(number, handler)
