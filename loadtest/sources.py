"""The source of events that the options ask for."""

from loadtest.options import LoadOptions
from loadtest.synthetic import Synthetic
from loadtest.table import Table


def source_of(options: LoadOptions, features: tuple[str, ...] | None, partitions: int) -> Synthetic | Table:
    if options.csv is not None:
        return Table(
            options.csv, options.value, key=options.key, time=options.time, features=features, partitions=partitions
        )
    return Synthetic(
        options.streams,
        features or ("value",),
        partitions=partitions,
        draw=options.keys,
        exponent=options.zipf_exponent,
        noise=options.noise,
        missing=options.missing,
        seed=options.seed,
    )
