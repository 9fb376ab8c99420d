"""What one connection may cost: time for a request's head, time to take an answer, and how many there are.

uvicorn bounds the pause between two requests; a head that never ends and an answer that nobody reads it waits for.
"""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST = 256  # connections at a time
HEAD = 10.0  # seconds from a request's first byte to the end of its head
TAKEN = 20.0  # seconds in which what was written must have been taken


class Bound:
    """Ends a connection on which something takes too long."""

    _timer: asyncio.TimerHandle | None = None

    def begin(self, transport: asyncio.Transport, seconds: float) -> None:
        """From now on; not anew where it has begun."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(seconds, transport.abort)

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Connection(H11Protocol):
    """uvicorn's, with bounds."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head, self._taken = Bound(), Bound()
        self._idle_since = self.loop.time()
        if len(self.connections) > MOST:
            self._make_room()
        if transport.is_closing():
            return
        transport.set_write_buffer_limits(0)  # of an answer, one message at a time is in memory
        self._head.begin(transport, HEAD)

    def _make_room(self) -> None:
        """Who has asked nothing for longest gives way, or else the new one: an answer would cost more of what there is
        too little of. So whoever holds connections without a word keeps nobody out, nor a look at the health."""
        there = [c for c in self.connections if isinstance(c, Connection) and not c.transport.is_closing()]
        if len(there) > MOST:
            idle = [c for c in there if c is not self and (c.cycle is None or c.cycle.response_complete)]
            min(idle, key=lambda c: c._idle_since, default=self).transport.abort()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._head.end()
        else:
            self._head.begin(self.transport, HEAD)

    def on_response_complete(self) -> None:
        self._head.end()  # uvicorn's bound of the pause takes over
        self._idle_since = self.loop.time()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head.end()
        self._taken.end()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._taken.begin(self.transport, TAKEN)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._taken.end()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """To what is no HTTP, or has too long a head."""
        body = b'{"error": "this is no HTTP request, or its head is too long"}'
        headers = [("content-type", "application/json"), ("content-length", str(len(body))), ("connection", "close")]
        try:
            for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        except h11.LocalProtocolError:  # an answer to what came before is under way, or given
            self.transport.abort()
        else:
            self.transport.close()
