"""One layer of LSTM with peepholes, forward and backward by hand. Knows tensors only.

Autograd's own graph of the same steps is several times slower: here the inputs' products are one for all steps, and so
are those of the weights' gradients; only what must wait for the step before stands in a loop.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class PeepholeLSTM(torch.autograd.Function):
    """Graves 2013, eq. 7-11. Gates stand in the order input, forget, cell, output.

    x [T, B, input], h and c [B, H], weight_ih [4H, input], weight_hh [4H, H], bias [4H], peephole [3, H] of input,
    forget and output gate -> hidden states [T, B, H], last cell [B, H].
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, h: Tensor, c: Tensor, weight_ih: Tensor, weight_hh: Tensor, bias: Tensor, peephole: Tensor
    ) -> tuple[Tensor, Tensor]:
        time, batch, size = len(x), len(h), h.shape[1]
        gates = torch.addmm(bias, x.reshape(time * batch, -1), weight_ih.T).view(time, batch, 4, size)
        flat = gates.view(time, batch, 4 * size)
        hidden, cell = (torch.cat([start[None], start.new_empty(time, batch, size)]) for start in (h, c))
        squashed = x.new_empty(time, batch, size)
        recurrent, early, late = weight_hh.T.contiguous(), peephole[:2], peephole[2]
        for t in range(time):
            flat[t].addmm_(hidden[t], recurrent)
            gate = gates[t]
            gate[:, :2].addcmul_(cell[t][:, None], early)
            gate[:, :2].sigmoid_()
            gate[:, 2].tanh_()
            i, f, g, o = gate.unbind(1)
            torch.mul(f, cell[t], out=cell[t + 1])
            cell[t + 1].addcmul_(i, g)
            o.addcmul_(cell[t + 1], late).sigmoid_()
            torch.tanh(cell[t + 1], out=squashed[t])
            torch.mul(o, squashed[t], out=hidden[t + 1])
        ctx.save_for_backward(x, hidden, cell, gates, squashed, weight_ih, weight_hh, peephole)
        return hidden[1:].clone(), cell[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_hidden: Tensor, by_cell: Tensor) -> tuple[Tensor | None, ...]:
        x, hidden, cell, gates, squashed, weight_ih, weight_hh, peephole = ctx.saved_tensors
        time, batch, _, size = gates.shape
        i, f, g, o = gates.unbind(2)
        # What each gate's sum is to be multiplied by, of all steps at once.
        slope = gates * (1 - gates)
        slope[:, :, 2] = 1 - g * g
        to_output = slope[:, :, 3] * squashed
        to_cell = o * (1 - squashed * squashed)
        slope[:, :, 0] *= g
        slope[:, :, 1] *= cell[:-1]
        slope[:, :, 2] *= i
        by_sum = torch.empty_like(gates)
        flat = by_sum.view(time, batch, 4 * size)
        by_h, by_c = torch.zeros_like(hidden[0]), by_cell
        early, late = peephole[:2], peephole[2]
        for t in range(time - 1, -1, -1):
            by_h = by_hidden[t] + by_h
            by_o = torch.mul(by_h, to_output[t], out=by_sum[t, :, 3])
            by_c = torch.addcmul(by_c, by_h, to_cell[t]).addcmul_(by_o, late)
            torch.mul(by_c[:, None], slope[t, :, :3], out=by_sum[t, :, :3])
            by_c = torch.mul(by_c, f[t]).add_((by_sum[t, :, :2] * early).sum(1))
            by_h = flat[t] @ weight_hh
        rows = flat.view(time * batch, -1)
        by_x = (rows @ weight_ih).view_as(x) if ctx.needs_input_grad[0] else None
        by_peephole = torch.stack(
            [(by_sum[:, :, gate] * of).sum((0, 1)) for gate, of in ((0, cell[:-1]), (1, cell[:-1]), (3, cell[1:]))]
        )
        by_ih, by_hh = rows.T @ x.reshape(time * batch, -1), rows.T @ hidden[:-1].reshape(time * batch, -1)
        return by_x, by_h, by_c, by_ih, by_hh, rows.sum(0), by_peephole
