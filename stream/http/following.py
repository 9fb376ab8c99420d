"""A stream as it goes on: server-sent events, as long as somebody listens and the service runs.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import msgspec
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from stream.http import told
from stream.http.asking import Asker
from stream.http.problem import Problem
from stream.inquiries import Answer, Event, Find, Follow, Followed

MOST = 50  # who follow at a time
LIFE = 3600.0  # seconds; who still listens comes again with the last offset
LOOK = 0.25  # seconds between two questions
SILENCE = 5.0  # seconds until a comment says that the line holds


class Followers:
    def __init__(self, asker: Asker, workers: int) -> None:
        self._asker = asker
        self._workers = workers
        self._count = 0
        self._stopping = False

    def stop(self) -> None:
        """Ends all, soon; on any thread."""
        self._stopping = True

    async def follow(self, key: bytes, after: int) -> Response:
        """Of several streams of this key the one that is found by it. Raises Problem where there is none, or where too
        many follow."""
        answers = await self._asker.ask(Find(key))
        partition = told.detail(key, answers, self._workers, "").partition
        told.raise_wrong(await self._asker.ask(Follow(key, after)))  # what it remembers, it will say again
        if self._count >= MOST or self._stopping:
            raise Problem(503, f"{MOST} follow already, the most there may be; ask again later", {"Retry-After": "5"})
        self._count += 1
        return _Held(self._lines(key, partition, after), self._leave)

    def _leave(self) -> None:
        self._count -= 1

    async def _lines(self, key: bytes, partition: int, after: int) -> AsyncIterator[bytes]:
        ends = time.monotonic() + LIFE
        spoke = 0.0
        while not self._stopping:
            answers = await self._asker.ask(Follow(key, after))
            for one in _events(answers):
                if one.partition == partition and one.offset > after:
                    yield b"id: %d\ndata: %b\n\n" % (one.offset, msgspec.json.encode(told.event(one)))
                    after, spoke = one.offset, time.monotonic()
            if self._gone(answers, partition) or time.monotonic() > ends:
                return  # who comes again is told where it went, or goes on
            if time.monotonic() - spoke > SILENCE:
                yield b": still here\n\n"
                spoke = time.monotonic()
            await asyncio.sleep(LOOK)

    def _gone(self, answers: list[Answer], partition: int) -> bool:
        """Whether the partition is surely not here any more."""
        followed = [answer for answer in answers if isinstance(answer, Followed)]
        all_answered = len(followed) == self._workers
        return all_answered and not any(answer.here for answer in followed) and partition == followed[0].home


def _events(answers: list[Answer]) -> list[Event]:
    return sorted(
        (one for answer in answers if isinstance(answer, Followed) for one in answer.events),
        key=lambda one: one.offset,
    )


class _Held(StreamingResponse):
    """Tells when it has ended, however it ends."""

    media_type = "text/event-stream"

    def __init__(self, lines: AsyncIterator[bytes], ended: Callable[[], None]) -> None:
        super().__init__(lines)
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._ended()
