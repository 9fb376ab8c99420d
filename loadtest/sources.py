"""The source of events that the options ask for, what spoils some of them, and when they are due."""

from loadtest.codecs import CODECS
from loadtest.offer import MAX_CHUNK, chunk_size
from loadtest.options import LoadOptions
from loadtest.pace import Schedule, schedule
from loadtest.spoil import Spoiler
from loadtest.synthetic import ALONE, Synthetic
from loadtest.table import Table

Features = tuple[str, ...]
VALUE: Features = ("value",)  # where no model names them


def source_of(
    options: LoadOptions, features: Features | None, partitions: int, share: tuple[int, int] = ALONE
) -> Synthetic | Table:
    """share: (k, n) is the k-th of n processes."""
    if options.file is not None:
        return Table(
            options.file,
            options.value,
            key=options.key,
            time=options.time,
            features=features,
            partitions=partitions,
            share=share,
            codec=CODECS[options.codec],
        )
    return Synthetic(
        options.streams,
        features or VALUE,
        partitions=partitions,
        draw=options.keys,
        exponent=options.zipf_exponent,
        hot_share=options.hot_share,
        new_streams=options.new_streams,
        noise=options.noise,
        missing=options.missing,
        seed=options.seed,
        share=share,
        codec=CODECS[options.codec],
    )


def spoiler_of(options: LoadOptions, features: Features) -> Spoiler:
    """What makes bad input and resets of some events."""
    return Spoiler(
        features,
        options.bad,
        options.resets,
        max_key_bytes=options.max_key_bytes,
        max_value_bytes=options.max_value_bytes,
        seed=options.seed,
        codec=CODECS[options.codec],
    )


def schedule_of(options: LoadOptions, source: Synthetic | Table, rate: float) -> tuple[Schedule | None, int]:
    """When events are due (None: as fast as they go), and how many are to be made ahead."""
    if isinstance(source, Table) and options.speed is not None:
        mean = len(source) / (source.seconds / options.speed + 0.001)
        return source.schedule(options.speed), chunk_size(mean)
    if not rate:
        return None, MAX_CHUNK
    return schedule(rate, options.pace, period=options.period, peak=options.peak, seed=options.seed), chunk_size(rate)
