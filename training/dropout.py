"""Dropout (Srivastava et al. 2014) at a third of what PyTorch's costs on a processor. Knows tensors only."""

import torch
from torch import Tensor

RANDOM = 1 << 16  # what each number's fate is drawn from: 16 random bits


def dropout(x: Tensor, share: float) -> Tensor:
    """x with a share of its numbers hidden and the others so much larger, by PyTorch's own random numbers."""
    hidden = round(share * RANDOM)
    if not hidden:
        return x
    drawn = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(1 << 63), None)
    kept = drawn.view(torch.int16)[: x.numel()].view(x.shape) >= hidden - RANDOM // 2
    return x * (kept.to(x.dtype) * (RANDOM / (RANDOM - hidden)))
