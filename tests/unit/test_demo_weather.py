"""The demo's data set: what is read of the installed file, and what is left as it is."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from demo import weather
from demo.errors import StepFailed

HOUR = 3_600_000
HEAD = "origin,year,month,day,hour,temp,dewp,humid,wind_dir,wind_speed,wind_gust,precip,pressure,visib,time_hour\n"


@pytest.fixture(scope="module")
def events() -> weather.Events:
    return weather.read(weather.installed_file())


def table(path: Path, rows: list[tuple[str, str, str]]) -> Path:
    """rows: (station, temp, time_hour)."""
    path.write_text(HEAD + "".join(f"{o},2013,1,1,0,{t},1,2,NA,3,NA,0,4,10,{h}\n" for o, t, h in rows))
    return path


def test_there_are_fifteen_streams_of_three_stations(events: weather.Events) -> None:
    expected = {f"{station}.{name}" for station in weather.STATIONS for name in weather.VARIABLES}
    assert set(events.streams()) == expected
    assert len(events) == 130_575


def test_events_stand_in_global_time_order_and_no_stream_has_an_hour_twice(events: weather.Events) -> None:
    assert np.all(np.diff(events.time) >= 0)
    for places in events.streams().values():
        assert np.all(np.diff(events.time[places]) >= HOUR)


def test_missing_hours_stay_absent(events: weather.Events) -> None:
    steps = np.diff(np.unique(events.time))
    assert steps.max() == 6 * HOUR
    newark = np.diff(events.time[events.streams()["EWR.temp"]])
    assert (newark > HOUR).sum() > 0


def test_missing_values_are_events_without_a_value(events: weather.Events) -> None:
    missing = {key: int(np.isnan(events.value[places]).sum()) for key, places in events.streams().items()}
    assert missing["EWR.pressure"] == 935
    assert missing["EWR.temp"] == 1
    assert missing["LGA.wind_speed"] == 0


def test_both_one_o_clocks_of_the_end_of_daylight_saving_are_there(events: weather.Events) -> None:
    first = int(pl.Series(["2013-11-03T05:00:00Z"]).str.to_datetime(time_unit="ms", time_zone="UTC").to_physical()[0])
    temperatures = events.value[events.streams()["EWR.temp"]]
    times = events.time[events.streams()["EWR.temp"]]
    assert [temperatures[times == first + n * HOUR].item() for n in range(3)] == [51.98, 50.0, 51.08]


def test_the_impossible_wind_stays_and_only_the_plausible_view_lacks_it(events: weather.Events) -> None:
    gone = np.isnan(weather.plausible(events).value) & ~np.isnan(events.value)
    assert [events.keys[place] for place in np.flatnonzero(gone)] == ["EWR.wind_speed"]
    assert events.value[gone].item() == pytest.approx(1048.36, abs=0.01)


def test_of_an_hour_that_stands_twice_the_first_row_is_taken(tmp_path: Path) -> None:
    hour = "2013-01-01T06:00:00Z"
    path = table(tmp_path / "weather.csv", [("EWR", "10", hour), ("EWR", "99", hour), ("JFK", "20", hour)])
    events = weather.read(path)
    temperatures = dict(zip(events.keys, events.value.tolist(), strict=True))
    assert len(events) == 10
    assert (temperatures["EWR.temp"], temperatures["JFK.temp"]) == (10.0, 20.0)


def test_a_slice_holds_the_first_hours_of_every_stream() -> None:
    events = weather.read(weather.installed_file(), hours=48)
    assert len(np.unique(events.time)) == 48
    assert len(events.streams()) == 15


def test_the_csv_says_the_same(tmp_path: Path, events: weather.Events) -> None:
    weather.write_csv(events, tmp_path / "out.csv")
    back = pl.read_csv(tmp_path / "out.csv", try_parse_dates=True)
    assert back.columns == ["key", "time", "value"]
    assert back["key"].to_list() == events.keys
    assert back["time"].dt.epoch("ms").to_list() == events.time.tolist()
    assert np.array_equal(back["value"].fill_null(float("nan")).to_numpy(), events.value, equal_nan=True)


def test_a_file_that_is_not_the_table_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(StepFailed, match="cannot be read as the weather table") as fault:
        weather.read(tmp_path / "other.csv")
    assert "\n" not in str(fault.value)
