"""Dropout (Srivastava et al. 2014) at a third of what PyTorch's costs on a processor. Knows tensors only."""

import torch
from torch import Tensor

RANDOM = 1 << 16  # what each number's fate is drawn from: 16 random bits


def of_window(x: Tensor, share: float) -> Tensor:
    """x [T, ...] with the same numbers hidden at all of its steps (Gal and Ghahramani 2016); costs next to nothing."""
    return x * dropout(torch.ones_like(x[:1]), share) if share else x


def dropout(x: Tensor, share: float) -> Tensor:
    """x with a share of its numbers hidden and the others so much larger, by PyTorch's own random numbers."""
    hidden = round(share * RANDOM)
    if not hidden:
        return x
    drawn = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(1 << 63), None)
    kept = drawn.view(torch.int16)[: x.numel()].view(x.shape) >= hidden - RANDOM // 2
    return x * (kept.to(x.dtype) * (RANDOM / (RANDOM - hidden)))
