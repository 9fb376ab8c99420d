"""A deadline for calls of a client library that have none of their own."""

import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Overdue(Exception):
    """The call did not return in time. It still runs on its own thread: what it works on must be given up."""


def bounded(call: Callable[[], T], timeout: float, name: str) -> T:
    """Run call on a daemon thread, wait at most timeout seconds, return what it returns or raise what it raises."""
    result: list[T] = []
    error: list[BaseException] = []

    def run() -> None:
        try:
            result.append(call())
        except BaseException as raised:
            error.append(raised)

    thread = threading.Thread(target=run, name=f"bounded-{name}", daemon=True)
    thread.start()
    thread.join(timeout)
    if error:
        raise error[0]
    if not result:
        raise Overdue(f"{name} did not return within {timeout:g} s")
    return result[0]


def abandon(call: Callable[[], object], name: str) -> None:
    """Run call on a daemon thread and do not wait for it: letting go of a client may take as long as its broker."""

    def run() -> None:
        with contextlib.suppress(Exception):  # nobody is left to hear it
            call()

    threading.Thread(target=run, name=f"abandon-{name}", daemon=True).start()
