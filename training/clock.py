"""What the network sees of an event's time: `export.clock` on tensors."""

from math import pi

import torch
from torch import Tensor

from export.clock import CYCLES, GAP_LIMIT, HOUR, ROOTS
from export.config import Config


def seen(config: Config, times: Tensor, before: Tensor | None, typical: Tensor | None) -> Tensor:
    """[T, batch, clock_width]; times [T, batch, 2] as `engine.columns.clock` gives them.

    Where the gap is seen: before [batch, 2], the last event's or zeros, and the weight typical.
    """
    precise = times.double()
    parts = []
    if config.calendar:
        hours = precise[..., 0] + precise[..., 1] / HOUR
        turns = torch.stack([hours / CYCLES[cycle] for cycle in config.calendar], -1)
        parts += [torch.sin(2 * pi * turns), torch.cos(2 * pi * turns)]
    if before is not None and typical is not None:
        earlier = torch.cat([before[None], times])[:-1]
        apart = precise - earlier
        root = ((apart[..., 0] * HOUR + apart[..., 1]).clip(min=1.0) / typical) ** (0.5**ROOTS)
        bent = (2.0 * 2**ROOTS * (root - 1) / (root + 1)).clip(-GAP_LIMIT, GAP_LIMIT)
        parts.append(torch.where(earlier.any(-1), bent, 0.0)[..., None])
    return torch.cat(parts, -1).float()
