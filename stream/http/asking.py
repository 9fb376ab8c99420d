"""Questions put to the service from the server's thread: each waits on another one, and not too many wait.

There are lanes, so that forecasts, which take long, and those who follow, who ask again and again, hold nobody else up,
and the overview, which needs no loop, is there while the others wait for it.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from stream.http import told
from stream.http.problem import Problem
from stream.http.view import View
from stream.inquiries import Answer, Describe, Described, Follow, Forecast, Inquiry, Overview


@dataclass
class Lane:
    threads: int
    most: int  # questions that are asked or wait for their turn
    waiting: int = 0
    pool: ThreadPoolExecutor = field(init=False)

    def __post_init__(self) -> None:
        self.pool = ThreadPoolExecutor(self.threads, "http-asks")


class Asker:
    def __init__(self, view: View) -> None:
        self._view = view
        self._quick, self._long, self._again, self._glance = Lane(8, 64), Lane(2, 8), Lane(8, 64), Lane(4, 32)
        self._model: Described | None = None

    async def ask(self, inquiry: Inquiry) -> list[Answer]:
        """Raises Problem where too many wait already."""
        lane = self._lane(inquiry)
        if lane.waiting >= lane.most:
            raise Problem(503, "too many questions at a time; ask again later", {"Retry-After": "1"})
        lane.waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(lane.pool, self._view.ask, inquiry)
        finally:
            lane.waiting -= 1

    def _lane(self, inquiry: Inquiry) -> Lane:
        match inquiry:
            case Forecast():
                return self._long
            case Follow():
                return self._again
            case Overview() | Describe():
                return self._glance
        return self._quick

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
        for lane in (self._quick, self._long, self._again, self._glance):
            lane.pool.shutdown(wait=False, cancel_futures=True)
