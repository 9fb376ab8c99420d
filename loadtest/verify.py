"""Holds an output topic against the offline reference: event by event, bit by bit, in one pass over both.

Input and output are read partition by partition in step, so memory is bounded by the streams of a partition and by
the window of `alignment`, not by the number of events.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path

from engine.rows import Policy
from loadtest.codecs import JSON, Codec
from loadtest.errors import EnvironmentFault
from loadtest.findings import Delivery, VerifyResult
from loadtest.input_format import MAX_KEY_BYTES, MAX_VALUE_BYTES
from loadtest.kafka import connect, existing, read_to
from loadtest.lanes import Span, letter_lane, output_lane
from loadtest.output_format import OutputFormat
from loadtest.port import ClientName, Cluster, Records
from loadtest.reference import Reference

BATCH = 20_000
Progress = Callable[[int, int], None]  # input records read, of how many


def verify(
    bootstrap_servers: str,
    model_path: Path | str,
    input_topic: str,
    output_topic: str,
    *,
    dead_letter_topic: str | None = None,
    delivery: Delivery = "exactly_once",
    client: ClientName = "auto",
    start: Mapping[int, int] | None = None,
    batch: int = BATCH,
    streams: int | None = None,
    state_ttl: float | None = None,
    poison_policy: Policy = "skip",
    step_batch: int | None = None,
    timeout: float = 60.0,
    examples: int = 5,
    max_key_bytes: int = MAX_KEY_BYTES,
    max_value_bytes: int = MAX_VALUE_BYTES,
    codec: Codec = JSON,
    progress: Progress | None = None,
) -> VerifyResult:
    """Read the input up to where it ends now, step it, and compare with what stands in the output topic now.

    start: per partition the input offset to step from, in the cold state; the beginning by default. Outputs of
    earlier events, and of events that arrive meanwhile, are left alone. state_ttl: the service's --state-ttl, seconds;
    None: for ever. poison_policy: the service's, too. batch: records read at a time; step_batch: events stepped at a
    time, None: those read together; the result depends on neither. timeout: seconds that a read may stand still.
    Raises ModelFileError, and EnvironmentFault where a topic is missing or cannot be read to its end.
    """
    began = time.monotonic()
    ttl = None if state_ttl is None else round(state_ttl * 1000)
    reference = Reference(
        model_path,
        max_key_bytes,
        max_value_bytes,
        streams,
        ttl=ttl,
        poison=poison_policy,
        step_batch=step_batch,
        codec=codec,
    )
    outputs = OutputFormat(reference.model.signature, codec)
    result = VerifyResult(delivery)
    topics = [input_topic, output_topic, *([dead_letter_topic] if dead_letter_topic else [])]
    with closing(connect(bootstrap_servers, client)) as cluster, ExitStack() as stack:
        _check(cluster, topics)
        ends = [cluster.watermarks(topic) for topic in topics]
        # Asked after the others, so that no output can stand for an event behind it.
        known = cluster.watermarks(input_topic)
        readers = [
            stack.enter_context(closing(cluster.reader(topic, headers=n == 2))) for n, topic in enumerate(topics)
        ]
        total = sum(high - low for low, high in ends[0].values())

        def read(which: int, partition: int, first: int = 0) -> Iterator[Records]:
            low, high = ends[which][partition]
            begin = max(low, first)
            return read_to(readers[which], topics[which], partition, begin, high, chunk=batch, timeout=timeout)

        for partition, (low, high) in ends[0].items():
            span = Span(partition, max(low, (start or {}).get(partition, 0)), high, known[partition][1])
            lane = output_lane(span, reference.fingerprint, outputs, read(1, partition), result, examples)
            letters = (
                letter_lane(span, input_topic, read(2, partition), result, examples) if dead_letter_topic else None
            )
            for chunk in reference.chunks(partition, _counted(read(0, partition, span.start), result, total, progress)):
                lane.expect(chunk.predicted, chunk.last)
                result.dead += len(chunk.dead.offset)
                if letters is not None:
                    letters.expect(chunk.dead, chunk.last)
            lane.finish()
            if letters is not None:
                letters.finish()
    result.seconds = time.monotonic() - began
    return result


def _check(cluster: Cluster, topics: list[str]) -> None:
    options = ("--input-topic", "--output-topic", "--dead-letter-topic")
    sizes = [existing(cluster, option, topic) for option, topic in zip(options, topics, strict=False)]
    for option, topic, size in zip(options[1:], topics[1:], sizes[1:], strict=False):
        if size != sizes[0]:
            raise EnvironmentFault(
                f"{option} {topic}: has {size} partitions, the input topic {topics[0]} has {sizes[0]}; "
                "an event's outcome goes to its own partition number, so they must be equal"
            )


def _counted(
    parts: Iterator[Records], result: VerifyResult, total: int, progress: Progress | None
) -> Iterator[Records]:
    for records in parts:
        result.events += len(records)
        yield records
        if progress is not None:
            progress(result.events, total)
