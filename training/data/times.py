"""Texts and numbers to milliseconds since the epoch. Knows polars, nothing of files."""

import polars as pl

from training.errors import DataError

# Tried in this order where no value carries an offset; polars guesses the rest.
FORMATS = (
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M",
    "%Y/%m/%d %H:%M:%S%.f",
    "%Y/%m/%d %H:%M",
)
ZONED = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z", "%Y-%m-%d %H:%M%#z")
DATES = ("%Y-%m-%d", "%Y/%m/%d", "%Y%m%d")
OFFSET = r"(Z|z|[+-]\d\d(:?\d\d)?)$"
SAMPLE = 100  # texts that tell which format is likely
EARLIEST, LATEST = -62_135_596_800_000, 253_402_300_799_999  # milliseconds: the years 1 to 9999
ACCEPTED = "ISO 8601 such as 2024-05-01T12:00:00Z, or seconds or milliseconds since 1970"


def milliseconds(column: pl.Series) -> pl.Series:
    """Int64 milliseconds; null where a value cannot be understood. One column holds times of one kind.

    Texts without an offset are taken as UTC. Numbers are seconds below 1e11 (the year 5138), milliseconds below 1e14,
    microseconds below 1e17, else nanoseconds, decided once for the column by its largest magnitude.
    """
    if column.dtype.is_temporal():
        if column.dtype == pl.Date:
            column = column.cast(pl.Datetime("ms"))
        return column.dt.epoch("ms")
    if column.dtype.is_numeric():
        return _numbers(column)
    texts = column.cast(pl.String).str.strip_chars()
    numbers = texts.cast(pl.Float64, strict=False)
    best = _numbers(numbers) if numbers.null_count() < len(numbers) else _none(len(texts))
    for parse in (_zoned, _plain, _dates, _guessed):
        if best.null_count() == texts.null_count():
            break
        found = parse(texts)
        best = found if found.null_count() < best.null_count() else best
    return best


def moment(option: str, text: str) -> int:
    """A time that an option gives, in milliseconds. Raises DataError."""
    try:
        found = milliseconds(pl.Series([text]))[0]
    except pl.exceptions.PolarsError:
        found = None
    if found is None or not EARLIEST <= found <= LATEST:
        raise DataError(f"{option} {text}: cannot be understood as a time; use {ACCEPTED}")
    return int(found)


def _numbers(column: pl.Series) -> pl.Series:
    numbers = column.cast(pl.Float64)
    numbers = pl.select(pl.when(numbers.is_finite()).then(numbers)).to_series()
    largest = float(numbers.abs().max() or 0)  # type: ignore[arg-type]  # of a Float64 column it is a float
    factor = 1e3 if largest < 1e11 else 1 if largest < 1e14 else 1e-3 if largest < 1e17 else 1e-6
    return (numbers * factor).round().cast(pl.Int64, strict=False)


def _none(length: int) -> pl.Series:
    return pl.Series([None], dtype=pl.Int64).new_from_index(0, length)


def _first(texts: pl.Series, formats: tuple[str, ...], zoned: bool) -> pl.Series:
    """By the first format that fits most, then the others where that one failed."""
    result = _none(len(texts))
    sample = texts.drop_nulls().head(SAMPLE)

    def misses(form: str) -> int:
        return sample.str.to_datetime(form, time_unit="ms", strict=False).null_count()

    for form in sorted(formats, key=misses):  # a text fits one of them, so that their order only saves time
        parsed = texts.str.to_datetime(form, time_unit="ms", strict=False)
        if zoned:
            parsed = parsed.dt.convert_time_zone("UTC")
        result = pl.select(pl.coalesce(result, parsed.dt.epoch("ms"))).to_series()
        if result.null_count() == texts.null_count():
            break
    return result


def _zoned(texts: pl.Series) -> pl.Series:
    if not texts.str.contains(OFFSET).any():
        return _none(len(texts))
    return _first(texts, ZONED, zoned=True)


def _plain(texts: pl.Series) -> pl.Series:
    return _first(texts, FORMATS, zoned=False)


def _dates(texts: pl.Series) -> pl.Series:
    result = _none(len(texts))
    for form in DATES:
        parsed = texts.str.to_date(form, strict=False).cast(pl.Datetime("ms")).dt.epoch("ms")
        result = parsed if parsed.null_count() < result.null_count() else result
    return result


def _guessed(texts: pl.Series) -> pl.Series:
    try:
        return texts.str.to_datetime(time_unit="ms", strict=False).dt.epoch("ms")
    except pl.exceptions.PolarsError:  # no format found at all
        return _none(len(texts))
