"""What a load test does, by its mode: offer and follow, preload, or drain. One broker connection, one summary."""

from collections.abc import Callable
from contextlib import closing

from export.signature import load
from loadtest.attendant import Attendant
from loadtest.errors import EnvironmentFault
from loadtest.follow import Goal
from loadtest.follower import Follower
from loadtest.kafka import connect, create, existing
from loadtest.offer import Offered, chunk_size, offer
from loadtest.options import LoadOptions
from loadtest.port import Cluster
from loadtest.report import Told
from loadtest.sources import source_of
from loadtest.summary import Summary
from loadtest.synthetic import Synthetic
from loadtest.table import Table

LINGER = 0.001  # seconds; at a fixed rate it is part of every latency
LINGER_FULL_SPEED = 0.010


def measure(options: LoadOptions, told: Told, attendant: Attendant) -> Summary:
    """Do it; the attendant hears when the follower reads and when all is offered."""
    features = load(options.model)[1].features if options.model is not None else None
    topic = options.input_topic
    with closing(connect(options.bootstrap_servers, options.client)) as cluster:
        if options.create_topics:
            create(cluster, topic, options.partitions)
        partitions = existing(cluster, "--input-topic", topic)
        marks = cluster.watermarks(topic)
        if options.drain:
            start = {p: low for p, (low, _) in marks.items()}
            there = sum(high - low for low, high in marks.values())
            if not there:
                raise EnvironmentFault(f"--drain: topic {topic} holds no records; fill it first with --preload")
            with _follower(options, start, lambda n: told.count("arrived", n, there)) as follower:
                now = "" if options.serve is not None else ": start the service now"
                told.note(f"following; {there:,} records wait in {topic}{now}")
                attendant.begin()
                followed = follower.finish(_goal(cluster, topic, start, there), attendant.check)
                return Summary("drain", cluster.client, followed=followed)
        if options.most_events == 0:
            return Summary("verify", cluster.client)
        source = source_of(options, features, partitions)
        total = _total(options, source)
        if options.preload:
            attendant.begin()
            offered = _offer(options, cluster, source, lambda n: told.count("offered", n, total))
            return Summary("preload", cluster.client, options.rate, offered)
        start = {p: high for p, (_, high) in marks.items()}
        with _follower(options, start, lambda n: told.count("arrived", n, total)) as follower:

            def progress(events: int) -> None:
                told.count("offered", events, total)
                follower.listen()
                attendant.check()

            attendant.begin()
            offered = _offer(options, cluster, source, progress)
            attendant.calm()
            followed = follower.finish(_goal(cluster, topic, start, offered.events), attendant.check)
        return Summary("offer", cluster.client, options.rate, offered, followed)


def _total(options: LoadOptions, source: Synthetic | Table) -> int | None:
    bounds = [options.most_events, len(source) if isinstance(source, Table) else None]
    if options.seconds is not None and options.rate:
        bounds.append(round(options.seconds * options.rate))
    return min((bound for bound in bounds if bound is not None), default=None)


def _offer(
    options: LoadOptions, cluster: Cluster, source: Synthetic | Table, progress: Callable[[int], None]
) -> Offered:
    return offer(
        source.batches(chunk_size(options.rate)),
        cluster.writer(linger=LINGER if options.rate else LINGER_FULL_SPEED),
        options.input_topic,
        rate=options.rate,
        events=options.most_events,
        seconds=options.seconds,
        progress=progress,
    )


def _follower(options: LoadOptions, start: dict[int, int], progress: Callable[[int], None]) -> Follower:
    return Follower(
        options.bootstrap_servers,
        options.client,
        options.output_topic,
        start,
        timeout=options.timeout,
        interval=options.watch_interval,
        progress=progress,
    )


def _goal(cluster: Cluster, topic: str, start: dict[int, int], events: int) -> Goal:
    marks = cluster.watermarks(topic)
    return Goal(events, {p: high - 1 for p, (_, high) in marks.items() if high > start[p]})
