"""From what the output topic holds to what the report says. Pure: no Kafka, no files."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from demo.compare import FIGURES, Track, Verdict, compare, tracks
from demo.result import Surprising
from demo.score import Stream, shifted
from demo.topics import Output
from demo.weather import Events

PREDICTION, LOWER, UPPER, SURPRISE = range(len(FIGURES))
MOST_SURPRISING = 8


def verify(
    events: Events, replayed: Sequence[tuple[str, Output]], found: Sequence[tuple[str, Output]]
) -> tuple[Verdict, dict[str, Track]]:
    """The verdict, and the output topic's predictions by stream."""
    times = {key: events.time[places] for key, places in events.streams().items()}
    track = tracks(found)
    return compare(times, tracks(replayed), track), track


def beside(times: NDArray[np.int64], track: Track | None) -> NDArray[np.float64]:
    """[events, 4]: what the topic says at each event, NaN where it says nothing; of several the first."""
    figures = np.full((len(times), len(FIGURES)), np.nan)
    if track is not None and len(track.time):
        moments, first = np.unique(track.time, return_index=True)
        places = np.searchsorted(times, moments)
        known = (places < len(times)) & (times[np.minimum(places, len(times) - 1)] == moments)
        figures[places[known]] = track.figures[first[known]]
    return figures


def streams(
    events: Events,
    found: Mapping[str, Track],
    ar24: Mapping[str, NDArray[np.float64]],
    boundaries: tuple[int, int],
) -> dict[str, Stream]:
    """What is scored. boundaries: the training part ends, the scored part begins, milliseconds since the epoch."""
    judged = {}
    for key, places in events.streams().items():
        time = events.time[places]
        figures = beside(time, found.get(key))
        judged[key] = Stream(
            value=events.value[places].astype(np.float32).astype(np.float64),  # as the network reads it
            training=time < boundaries[0],
            scored=time >= boundaries[1],
            prediction=figures[:, PREDICTION],
            lower=figures[:, LOWER],
            upper=figures[:, UPPER],
            ar24=ar24[key],
        )
    return judged


def surprising(
    events: Events, found: Mapping[str, Track], judged: Mapping[str, Stream], most: int = MOST_SURPRISING
) -> list[Surprising]:
    """The scored events that the predictions before them held for the least likely, beginning with the least."""
    rows = []
    for key, places in events.streams().items():
        time, stream = events.time[places], judged[key]
        surprise = beside(time, found.get(key))[:, SURPRISE]
        said = [shifted(column) for column in (stream.prediction, stream.lower, stream.upper)]
        candidates = np.flatnonzero(stream.scored & ~np.isnan(surprise))
        for place in candidates[np.argsort(surprise[candidates])[-most:]]:
            predicted, lower, upper = (float(column[place]) for column in said)
            actual, moment = float(stream.value[place]), int(time[place])
            unseen = int(place - 1 - np.flatnonzero(~np.isnan(stream.value[:place])).max(initial=-1))
            rows.append(Surprising(key, moment, actual, predicted, lower, upper, float(surprise[place]), unseen))
    return sorted(rows, key=lambda row: -row.surprise)[:most]
