"""Answers what is asked of one worker, on the thread of whoever asks: puts the loop's part to the desk, the broker's to
a thread of its own, and rolls the network forward itself. The loop waits for none of it.
"""

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import structlog

from engine.columns import Floats
from engine.forecast import Forecaster, ForecastError
from engine.model import Network
from export.signature import Signature
from stream import said
from stream.broker.placement import home
from stream.broker.port import Records
from stream.codec import Codec
from stream.desk import STOPPING, Desk, Unanswered
from stream.errands import Errands, Here
from stream.errors import BrokerFault, SinkFailed
from stream.inquiries import (
    Answer,
    Browse,
    Describe,
    Described,
    Event,
    Find,
    Follow,
    Followed,
    Forecast,
    Forecasted,
    Found,
    Inquiry,
    Listed,
    Overlooked,
    Overview,
    Placed,
    Reset,
    Wrong,
)
from stream.lookback import Lookback, Null
from stream.recent import Noted

log = structlog.get_logger()

LOOP = 5.0  # seconds that the loop may take to answer
SCAN = 15.0  # seconds, where it has to go through all streams
READ = 2.0  # seconds that a look at the input may take
WRITE = 10.0  # seconds that a reset may take
ROLL = 30.0  # seconds that a forecast may take, and may wait for others
BACK = 5000  # records of its partition among which a stream's interval is looked for


class Clerk:
    """Clerk of one worker. On any thread but the loop's."""

    def __init__(
        self,
        desk: Desk,
        errands: Errands,
        lookback: Lookback,
        model: Network,
        codec: Callable[[], Codec],
        shown: Callable[[bytes], Any],
        partitions: int,
        glance: Callable[[int], Overlooked],
        wall: Callable[[], float] = time.time,
    ) -> None:
        """codec: makes one that decodes events; shown: an event's value as plain data; partitions: of the input;
        glance: the overview since a time, milliseconds."""
        self._desk, self._errands, self._lookback = desk, errands, lookback
        self._model, self._signature = model, model.signature
        self._codec, self._shown = codec, shown
        self._partitions = partitions
        self._glance = glance
        self._wall = wall
        self._making = threading.Lock()
        self._forecaster: Forecaster | None = None
        self._rolling = threading.Lock()  # one forecast at a time: the loop needs a processor, too
        self._closed = False

    def answer(self, inquiry: Inquiry) -> Answer:
        """Blocks, for less than `gathering.PATIENCE` and the like."""
        try:
            return self._answer(inquiry)
        except (Unanswered, BrokerFault, SinkFailed) as error:
            return Wrong(503, str(error))
        except ForecastError as error:
            return Wrong(422, str(error))
        except Exception:
            log.exception("question_failed", question=type(inquiry).__name__)
            return Wrong(500, "this failed; the log says why")

    def _answer(self, inquiry: Inquiry) -> Answer:
        match inquiry:
            case Find():
                return self._find(inquiry)
            case Browse():
                streams, more = self._desk.run(self._errands.browse(inquiry), SCAN)
                return Listed(tuple(streams), more)
            case Forecast():
                return self._forecast(inquiry)
            case Reset():
                return self._reset(inquiry)
            case Follow():
                return self._follow(inquiry)
            case Overview():
                return self._glance(inquiry.since)
            case Describe():
                return Described(self._model.fingerprint, msgspec.to_builtins(self._signature))

    def close(self) -> None:
        """The loop has ended: whoever waits is told so."""
        self._closed = True
        self._desk.close()
        self._lookback.close()

    def _streams(self, key: bytes) -> tuple[int, bool, list[Here]]:
        """The key's home, whether that is live here, and its streams."""
        where = home(key, self._partitions)
        found = self._desk.run(self._errands.find(key), LOOP)
        return where, where in self._errands.live(), found

    def _find(self, asked: Find) -> Found:
        where, here, found = self._streams(asked.key)
        told = self._now(np.stack([one.row for one in found])) if found else ()
        return Found(
            where,
            here,
            tuple(one.stream for one in found),
            tuple(
                {} if one.stream.frozen else said.prediction(self._signature, predicted)
                for one, predicted in zip(found, told, strict=True)
            ),
            tuple(self._event(one) for one in found),
        )

    def _event(self, one: Here) -> Any:
        """The stream's last event as it came, decoded; None where it cannot be had."""
        offset = one.stream.offset
        if offset < 0:
            return None
        try:
            records = self._lookback.read(one.stream.partition, offset, offset + 1, READ)
            return self._shown(records.values[0]) if records.values and records.values[0] is not None else None
        except Exception:  # the broker is away, retention took it, or it is not what the codec expects
            return None

    def _reset(self, asked: Reset) -> Placed:
        where, here, found = self._streams(asked.key)
        if not found:
            return Placed(where, here)
        # Not ahead of the partition's clock, or it would move that: with --state-ttl old streams would begin anew.
        now = int(self._wall() * 1000)
        nulls = [Null(asked.key, one.stream.partition, min(now, one.clock)) for one in found]
        return Placed(where, here, dict(self._lookback.reset(nulls, WRITE)))

    def _follow(self, asked: Follow) -> Followed:
        where = home(asked.key, self._partitions)
        trailed = self._desk.run(self._errands.follow(asked.key, where, asked.after), LOOP)
        here = where in self._errands.live()
        if trailed is None:
            return Followed(where, here)
        if trailed.start is not None:
            start = trailed.start
            trailed.trail.before = start.stream.step, self._now(start.row[None])[0]
        events = tuple(self._told(trailed.partition, noted, before) for noted, before in trailed.events)
        return Followed(where, here, events)

    def _told(self, partition: int, noted: Noted, before: Floats | None) -> Event:
        signature = self._signature
        return Event(
            partition,
            noted.offset,
            noted.time,
            noted.step,
            said.event(signature, noted.x, noted.mask),
            None if before is None else said.prediction(signature, before),
            said.prediction(signature, noted.predicted),
            said.by_target(signature, noted.surprise),
        )

    def _forecast(self, asked: Forecast) -> Forecasted:
        where, here, found = self._streams(asked.key)
        found.sort(key=lambda one: (one.stream.partition != where, one.stream.partition))
        if not found:
            return Forecasted(where, here)
        if found[0].stream.frozen:
            raise ForecastError(
                f"the stream is frozen since offset {found[0].stream.offset} of partition {found[0].stream.partition}, "
                "and has no future until it is reset"
            )
        return Forecasted(where, here, (found[0].stream,), (self._rolled(asked, found[0]),))

    def _rolled(self, asked: Forecast, one: Here) -> tuple[dict[str, Any], ...]:
        """Raises ForecastError, Unanswered."""
        deadline = time.monotonic() + ROLL
        if not self._rolling.acquire(timeout=ROLL):
            raise Unanswered("another forecast takes long; ask again later")
        try:
            interval = self._interval(one) if self._signature.clock and asked.steps > 1 else 0
            random = np.random.default_rng(asked.seed)
            steps = []
            roll = self._forecasts().roll(one.row, one.stream.ts, interval, asked.steps, asked.samples, random)
            for predicted in roll:
                if self._closed:  # the process does not end before its threads do
                    raise Unanswered(STOPPING)
                steps.append(said.forecast(self._signature, predicted))
                if time.monotonic() > deadline and len(steps) < asked.steps:
                    raise ForecastError(
                        f"only {len(steps)} steps were made in {ROLL:g} s; ask for fewer steps or samples"
                    )
            return tuple(steps)
        finally:
            self._rolling.release()

    def _interval(self, one: Here) -> int:
        """Milliseconds from one event to the next: the median gap among the stream's events in the last BACK records of
        its partition or, where there are not two, the mean one of the training part. Raises ForecastError."""
        partition, offset = one.stream.partition, one.stream.offset
        try:
            records = self._lookback.read(partition, max(0, offset - BACK), offset + 1, READ)
        except BrokerFault:
            records = Records(partition, [], [], [], [])
        mine = [i for i, key in enumerate(records.keys) if key == one.stream.key and records.values[i] is not None]
        if len(mine) > 1:
            gaps = np.diff(self._codec().decode([records.picked(mine)]).columns.time)
            if len(gaps) and np.median(gaps) > 0:
                return int(np.median(gaps))
        return trained_interval(self._signature)

    def _now(self, rows: Floats) -> Floats:
        return self._forecasts().now(rows)

    def _forecasts(self) -> Forecaster:
        with self._making:
            if self._forecaster is None:
                self._forecaster = Forecaster(self._model.proto, self._signature)
            return self._forecaster


def trained_interval(signature: Signature) -> int:
    """Milliseconds between two events of a stream in the training part, on average. Raises ForecastError where the
    model does not know."""
    part = signature.training
    interval = 0
    if part.first and part.last and part.events > part.streams:
        span = datetime.fromisoformat(part.last) - datetime.fromisoformat(part.first)
        interval = span // timedelta(milliseconds=1) * part.streams // (part.events - part.streams)
    if interval <= 0:
        raise ForecastError(
            "the network sees the time of events, and the stream's interval is not known: its partition's last "
            f"{BACK} records hold one event of it; ask for one step, or again after its next event"
        )
    return interval
