"""Questions put to the service from the server's thread: each waits on another one, and not too many wait."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from stream.http import told
from stream.http.problem import Problem
from stream.http.view import View
from stream.inquiries import Answer, Describe, Described, Inquiry

THREADS = 8
WAITING = 64  # questions that are asked or wait for their turn


class Asker:
    def __init__(self, view: View) -> None:
        self._view = view
        self._pool = ThreadPoolExecutor(THREADS, "http-asks")
        self._streams = ThreadPoolExecutor(THREADS, "http-follows")  # so that those who follow keep no one else waiting
        self._waiting = 0
        self._model: Described | None = None

    async def ask(self, inquiry: Inquiry) -> list[Answer]:
        """Raises Problem where too many wait already."""
        if self._waiting >= WAITING:
            raise Problem(503, "too many questions at a time; ask again later", {"Retry-After": "1"})
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._view.ask, inquiry)
        finally:
            self._waiting -= 1

    async def follow(self, inquiry: Inquiry) -> list[Answer]:
        """For those who ask again and again; their number is bounded elsewhere."""
        return await asyncio.get_running_loop().run_in_executor(self._streams, self._view.ask, inquiry)

    async def model(self) -> Described:
        """It stays the same as long as the service runs. Raises Problem where none has said it yet."""
        if self._model is None:
            self._model = told.of_kind(await self.ask(Describe()), Described)[0]
        return self._model

    async def model_name(self) -> str:
        """The fingerprint's beginning; empty until it is known."""
        try:
            return (await self.model()).fingerprint[:8]
        except Problem:
            return ""

    def close(self) -> None:
        """Waits for nobody."""
        for pool in (self._pool, self._streams):
            pool.shutdown(wait=False, cancel_futures=True)
