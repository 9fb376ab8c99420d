"""From events to symbols' indexes: the vocabulary, and what a network of symbols is trained on. Knows no network."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.columns import clock as clock_columns
from export.config import Config, Weights
from training import clock
from training.data import Events
from training.splits import TRAIN, VALID, Split

UNKNOWN = ""  # the first symbol of every vocabulary: all that are not in it


@dataclass
class Text:
    """All streams' events, one stream after another. N is their number; evaluation i of a stream is after its event i
    and predicts the next one."""

    symbol: Tensor  # [N] index into the vocabulary
    there: Tensor  # [N] 1, or 0 where it is missing
    time: Tensor  # [N, clock_width] what is seen of the event's time
    counts: Tensor  # [vocabulary] how often each symbol is in the training part
    first: NDArray[np.int64]  # [streams + 1] each stream's first event
    trained: NDArray[np.int64]  # [streams] evaluations whose next event is in the training part: they come first
    known: NDArray[np.int64]  # [streams] those and the ones of the validation part


def vocabulary(events: Events, split: Split, most: int) -> tuple[str, ...]:
    """The symbols that are told apart: UNKNOWN, then the most frequent ones of the training part."""
    values = events.values[split.part == TRAIN, 0]
    counts = np.bincount(values[np.isfinite(values)].astype(np.int64), minlength=len(events.symbols))
    order = np.argsort(-counts, kind="stable")
    known = [events.symbols[i] for i in order[counts[order] > 0] if events.symbols[i] != UNKNOWN]
    return (UNKNOWN, *known[:most])


def indexes(events: Events, symbols: tuple[str, ...]) -> NDArray[np.int64]:
    """[events]: each event's place in a vocabulary, 0 where it is not there, -1 where the symbol is missing."""
    place = {symbol: i for i, symbol in enumerate(symbols)}
    places = np.array([place.get(symbol, 0) for symbol in events.symbols] + [-1], np.int64)
    values = events.values[:, 0]
    return places[np.where(np.isfinite(values), values, len(events.symbols)).astype(np.int64)]


def prepare(events: Events, split: Split, config: Config, symbols: tuple[str, ...], weights: Weights) -> Text:
    """The events of all streams, in the order of their keys. weights: of the network; "typical" is looked at."""
    streams = events.per_stream()
    order = np.concatenate(streams)
    index = indexes(events, symbols)
    trained, known = (
        np.array([(split.part[stream[1:]] <= last).sum() for stream in streams], np.int64) for last in (TRAIN, VALID)
    )
    time = torch.zeros(len(order), 0)
    if config.clock:
        time = torch.cat([_clock(events.time[stream], config, weights) for stream in streams])
    counted = index[(split.part == TRAIN) & (index >= 0)]
    return Text(
        symbol=torch.from_numpy(index[order].clip(0)),
        there=torch.from_numpy((index[order] >= 0).astype(np.float32)),
        time=time,
        counts=torch.from_numpy(np.bincount(counted, minlength=len(symbols)).astype(np.float32)),
        first=np.concatenate([[0], np.cumsum([len(stream) for stream in streams])]).astype(np.int64),
        trained=trained,
        known=known,
    )


def _clock(time: NDArray[np.int64], config: Config, weights: Weights) -> Tensor:
    """[events, clock_width] of one stream."""
    columns = torch.from_numpy(clock_columns(time))[:, None]
    if not config.since_last:
        return clock.seen(config, columns, None, None)[:, 0]
    return clock.seen(config, columns, torch.zeros(1, 2), torch.from_numpy(weights["typical"]))[:, 0]
