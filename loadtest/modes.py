"""What a load test does, by its mode: offer and follow, ramp, preload, or drain. One connection, one summary."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import numpy as np

from export.signature import load
from loadtest.attendant import Attendant
from loadtest.errors import EnvironmentFault
from loadtest.follow import Goal
from loadtest.follower import Followed, Follower, Order
from loadtest.kafka import connect, create, existing
from loadtest.latency import figures_ms
from loadtest.offer import Offered
from loadtest.options import LoadOptions
from loadtest.port import Cluster
from loadtest.ramp import Step, search
from loadtest.report import Told
from loadtest.sender import Stint
from loadtest.senders import Senders
from loadtest.sources import VALUE, spoiler_of
from loadtest.summary import Summary

STEP = 10.0  # seconds of a step of a ramp
SHOWS = 10  # times the limit: so long takes a rate that is a tenth too high until its backlog passes the limit
WARM_UP = 2.0  # seconds that are offered before the first one
FIRST_RATE = 1000.0
HIGHEST_RATE = 10_000_000.0
PIECE = 1_000_000  # numbers looked at in one go


def measure(options: LoadOptions, told: Told, attendant: Attendant) -> Summary:
    """Do it; the attendant hears when the follower reads and when all is offered."""
    features = load(options.model)[1].features if options.model is not None else None
    topic = options.input_topic
    with closing(connect(options.bootstrap_servers, options.client)) as cluster:
        if options.create_topics:
            create(cluster, topic, options.partitions)
        partitions = existing(cluster, "--input-topic", topic)
        if options.processes > partitions:
            raise EnvironmentFault(
                f"--processes {options.processes}: topic {topic} has {partitions} partitions, and each process "
                "sends to partitions of its own; give fewer processes, or a topic with more partitions"
            )
        if options.drain:
            return _drain(options, told, attendant, cluster)
        if options.most_events == 0:
            return Summary("verify", cluster.client)
        for kind in spoiler_of(options, VALUE).left_out if options.bad else ():
            limit = f"--max-{kind.split('_')[0]}-bytes"
            told.note(
                f"--bad: makes no {kind}, which no topic takes by default; a smaller {limit} here and there brings it"
            )
        with Senders(options, features, cluster, partitions) as senders:
            if options.preload:
                total = _total(options, senders)
                attendant.begin()
                offered = senders.offer(_stint(options), lambda n: told.count("offered", n, total))
                return Summary("preload", cluster.client, options.rate, offered)
            start = _ends(cluster, topic)
            total = _total(options, senders)
            arrived = (lambda _: None) if options.ramp else (lambda n: told.count("arrived", n, total))
            with _follower(options, start, arrived) as follower:
                attendant.begin()
                run = _Run(options, told, attendant, cluster, senders, follower, total)
                return run.ramp() if options.ramp else run.offer()


class _Run:
    """Offers and follows."""

    def __init__(
        self,
        options: LoadOptions,
        told: Told,
        attendant: Attendant,
        cluster: Cluster,
        senders: Senders,
        follower: Follower,
        total: int | None,
    ) -> None:
        self._options, self._told, self._attendant, self._cluster = options, told, attendant, cluster
        self._senders, self._follower, self._total = senders, follower, total

    def offer(self) -> Summary:
        """All at once."""
        offered, followed = self._stint(_stint(self._options), self._attendant.calm)
        return Summary("offer", self._cluster.client, self._options.rate, offered, followed)

    def ramp(self) -> Summary:
        """Step by step. The figures are those of the highest rate that was borne, else of the last one."""
        options = self._options
        assert options.p99_below is not None, "the options' check has seen to it"
        shows = SHOWS * options.p99_below
        seconds = max(STEP, shows) if options.seconds is None else options.seconds
        if seconds < shows:
            self._told.note(
                f"ramp: in steps of {seconds:g} s a backlog may stay below {options.p99_below:g} s though the rate is "
                f"too high; --seconds {shows:g} shows what is a tenth too high"
            )
        done: list[tuple[Step, Offered, Followed]] = []
        first = 0

        def step(rate: float, seconds: float = seconds) -> Step:
            nonlocal first
            stint = Stint(rate, max(1, round(rate * seconds)), None, first)
            first += stint.events or 0
            offered, followed = self._stint(stint)
            p99 = figures_ms(followed.latencies()).get("p99")
            done.append((Step(rate, p99, offered.late, followed.complete), offered, followed))
            return done[-1][0]

        begin = options.rate or FIRST_RATE
        step(begin, min(WARM_UP, seconds))
        done.clear()

        def told_step(rate: float) -> Step:
            found = step(rate)
            figure = "nothing arrived" if found.p99_ms is None else f"p99 {found.p99_ms:,.1f} ms"
            self._told.note(f"ramp: {rate:,.0f}/s: {figure}, the sender at most {found.late_ms:,.1f} ms late")
            return found

        ramp = search(told_step, begin, HIGHEST_RATE, options.p99_below * 1000)
        shown = next((entry for entry in done if entry[0] is ramp.best), done[-1])
        followed = replace(shown[2], series=done[-1][2].series)
        return Summary("ramp", self._cluster.client, shown[0].rate, shown[1], followed, ramp=ramp)

    def _stint(self, stint: Stint, offered_all: Callable[[], None] = lambda: None) -> tuple[Offered, Followed]:
        topic = self._options.input_topic
        start = _ends(self._cluster, topic)
        offered = self._senders.offer(stint, self._progress)
        offered_all()
        goal = _goal(self._cluster, topic, start, offered.events - offered.silent)
        return offered, self._follower.finish(goal, self._attendant.check)

    def _progress(self, events: int) -> None:
        if not self._options.ramp:  # whose steps are told one by one
            self._told.count("offered", events, self._total)
        self._follower.listen()
        self._attendant.check()


def _drain(options: LoadOptions, told: Told, attendant: Attendant, cluster: Cluster) -> Summary:
    topic, marks = options.input_topic, cluster.watermarks(options.input_topic)
    start = {p: low for p, (low, _) in marks.items()}
    there = sum(high - low for low, high in marks.values())
    if not there:
        raise EnvironmentFault(f"--drain: topic {topic} holds no records; fill it first with --preload")
    # What was spoiled is told by the events' numbers: those of the preload, if it had the same options.
    spoiler = spoiler_of(options, VALUE)
    pieces = (np.arange(begin, min(begin + PIECE, there)) for begin in range(0, there, PIECE))
    heard = there - sum(int(spoiler.silent(piece).sum()) for piece in pieces)
    with _follower(options, start, lambda n: told.count("arrived", n, heard)) as follower:
        now = "" if options.serve is not None else ": start the service now"
        told.note(f"following; {there:,} records wait in {topic}{now}")
        attendant.begin()
        followed = follower.finish(_goal(cluster, topic, start, heard), attendant.check)
        return Summary("drain", cluster.client, followed=followed)


def _stint(options: LoadOptions) -> Stint:
    return Stint(options.rate, options.most_events, options.seconds)


def _total(options: LoadOptions, senders: Senders) -> int | None:
    bounds = [options.most_events, senders.rows]
    if options.seconds is not None and options.rate:
        bounds.append(round(options.seconds * options.rate))
    return min((bound for bound in bounds if bound is not None), default=None)


def _ends(cluster: Cluster, topic: str) -> dict[int, int]:
    return {p: high for p, (_, high) in cluster.watermarks(topic).items()}


def _follower(options: LoadOptions, start: dict[int, int], progress: Callable[[int], None]) -> Follower:
    order = Order(
        options.bootstrap_servers,
        options.client,
        options.output_topic,
        start,
        options.codec,
        options.timeout,
        options.watch_interval,
    )
    return Follower(order, progress)


def _goal(cluster: Cluster, topic: str, start: dict[int, int], events: int) -> Goal:
    return Goal(events, {p: end - 1 for p, end in _ends(cluster, topic).items() if end > start[p]})
