"""From events to what a network of classes is trained on: what the cells see, and where a class is told."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from export.signature import Per
from training.classify_network import ClassNetwork
from training.data import Events
from training.prepare import alike, rectangle
from training.splits import TRAIN, VALID, Split


@dataclass
class Labelled:
    """All streams' events, one stream after another; N is their number."""

    seen: Tensor  # [N, input_width] what the cells see
    label: Tensor  # [N] index of the class; 0 where none is told
    weight: Tensor  # [N] 1 where the class is to be known: at each event that has one, or at a sequence's last event
    per: Per
    first: NDArray[np.int64]  # [streams + 1] each stream's first event
    trained: NDArray[np.int64]  # [streams] events of the training part: they come first
    known: NDArray[np.int64]  # [streams] those and the ones of the validation part


def prepare(events: Events, split: Split, network: ClassNetwork, per: Per) -> Labelled:
    """The events of all streams, in the order of their keys. A sequence's class is the last that is told of it."""
    assert events.label is not None
    streams = events.per_stream()
    first = np.concatenate([[0], np.cumsum([len(stream) for stream in streams])]).astype(np.int64)
    trained, known = (
        np.array([(split.part[stream] <= last).sum() for stream in streams], np.int64) for last in (TRAIN, VALID)
    )
    seen = torch.empty(int(first[-1]), network.config.input_width)
    for group in alike([len(stream) for stream in streams], 1):
        x, mask = rectangle(events, [streams[i] for i in group], network.config.clock)
        with torch.no_grad():
            around = network.around(x, mask, network.cold(len(group)))
        for lane, i in enumerate(group):
            seen[int(first[i]) : int(first[i + 1])] = around.seen[: len(streams[i]), lane]
    label = events.label[np.concatenate(streams)]
    if per == "sequence":
        label = np.concatenate([_at_the_end(events.label[stream]) for stream in streams])
    weight = torch.from_numpy((label >= 0).astype(np.float32))
    return Labelled(seen, torch.from_numpy(label.clip(0)), weight, per, first, trained, known)


def _at_the_end(label: NDArray[np.int64]) -> NDArray[np.int64]:
    """[events] of one stream: its class at the last one, -1 before."""
    told = label[label >= 0]
    found = np.full(len(label), -1, np.int64)
    found[-1] = told[-1] if len(told) else -1
    return found
