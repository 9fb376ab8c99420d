"""The network of task `number` as a PyTorch module: the same arithmetic as `export.graph`, the same names of weights.

Everything before the cells (filling, scaling, lags, time) has no weights to learn: `around` computes it once per
stream, and training then runs the cells and the head only. `forward` is the whole step, for parity.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from export.config import (
    COUNT_LIMIT,
    DOUBT_LIMIT,
    HEAD_ROWS,
    LINEAR_LIMIT,
    PRIOR_WEIGHT,
    REGRET_LIMIT,
    SEEN_LIMIT,
    SURPRISE_LIMIT,
    VALUE_LIMIT,
    WIDTH_LIMIT,
    Config,
)
from export.head import INNER, NORMAL, OFFSETS
from training import clock
from training.carried import Carried, State
from training.cells import Cells
from training.reach import factors, fold


@dataclass
class Around:
    """What stands before the cells, for T events. "Around": [T + 1, batch, ...], before the first and after each."""

    last: Tensor  # around: the newest value, less the centre in scaling "fixed"
    unit: Tensor  # around: the scale, mean absolute change from event to event
    linear: Tensor | None  # around, [.., linear_width]: what the linear path sees, in scales
    spread: Tensor
    seen: Tensor  # [T, batch, input_width]: what the first layer sees
    age: Tensor | None  # around: events since the first value
    state: State  # the next state, but for h, c and losses


class Network(Carried):
    """Filling, scaling, lags, linear path, recurrent layers, head."""

    center: Tensor
    spread: Tensor
    scale: Tensor
    prior: Tensor
    stretch: Tensor
    tail: Tensor
    usual: Tensor
    typical: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        targets = len(config.targets)
        self.cells = Cells(config)
        self.head = nn.Linear(config.hidden, targets * HEAD_ROWS[config.head])
        if config.lags:
            self.linear = nn.Linear(config.linear_width, targets * config.experts)
        if config.experts > 1:
            self.gate = nn.Linear(config.hidden, targets * config.experts)
        for name, shape in config.shapes().items():
            if "." not in name:
                self.register_buffer(name, torch.ones(shape))

    def around(self, x: Tensor, mask: Tensor, state: State) -> Around:
        """x and mask as `Signature` has them, [T, batch, columns]."""
        config, fixed = self.config, self.config.scaling == "fixed"
        features = len(config.features)
        x, mask, times = x[..., :features], mask[..., :features], x[..., features:]
        x = x.clip(-VALUE_LIMIT, VALUE_LIMIT)
        values = torch.where(mask > 0, x - self.center if fixed else x, 0.0)
        history = state["history"].transpose(0, 1)  # [length, batch, features]
        filled = _fill(values, mask, history[-1])
        last = torch.cat([history[-1:], filled])
        following: State = {}
        if fixed:
            level, spread, unit = last, self.spread.expand_as(last), self.scale.expand_as(last)
        else:
            mean, spread, unit, following["sums"] = self._running(values, mask, last, state["sums"])
            level = last - mean
        if config.back:
            whole = torch.cat([history, filled])
            following["history"] = whole[-config.history :].transpose(0, 1)
            begun = torch.clip(state["age"] + mask.cumsum(0), max=1.0)
            age = fold(state["age"], begun).clip(max=COUNT_LIMIT)
            following["age"] = age[-1]
            start = config.history
            parts = [whole[start - lag : start - lag + len(last)] for lag in config.back]
            way = [
                torch.where(age >= lag, ((part - last) / unit).clip(-LINEAR_LIMIT, LINEAR_LIMIT), 0.0)
                for lag, part in zip(config.back, parts, strict=True)
            ]
        else:
            age = None
            following["history"] = last[-1:].transpose(0, 1)
            way = []
        linear = torch.cat([*way, (level / unit).clip(-LINEAR_LIMIT, LINEAR_LIMIT)], -1) if config.lags else None
        past = [part[1:] for part in way] or [(last[1:] - last[:-1]) / unit[1:]]
        seen = torch.cat([(level / spread)[1:], mask, *past], -1).clip(-SEEN_LIMIT, SEEN_LIMIT)
        if config.clock:
            typical = self.typical if config.since_last else None
            seen = torch.cat([seen, clock.seen(config, times, state.get("clock"), typical)], -1)
        if config.since_last:
            following["clock"] = times[-1]
        return Around(last, unit, linear, spread, seen, age, following)

    def predict(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """From hidden states [..., hidden]: correction [..., targets, 1] and widths [..., targets, 4], in scales."""
        raw = self.head(hidden).unflatten(-1, (len(self.config.targets), HEAD_ROWS[self.config.head]))
        widths = raw[..., 1:].clip(-WIDTH_LIMIT, WIDTH_LIMIT).exp()
        return raw[..., :1], widths * torch.from_numpy(NORMAL) if self.config.head == "normal" else widths

    def advice(self, linear: Tensor) -> Tensor:
        """What each expert says of the next change, in scales: [..., targets, experts]."""
        said: Tensor = self.linear(linear)
        return self._per_expert(said)

    def mix(self, hidden: Tensor, advice: Tensor, doubt: Tensor | None) -> Tensor:
        """The experts' advice as one, [..., targets]; doubt [..., targets, experts] of each expert, or None for one."""
        if doubt is None:
            return advice[..., 0]
        logits = self._per_expert(self.gate(hidden)) + doubt
        share = torch.softmax(logits.movedim(-1, 0).contiguous(), 0)  # over a short last axis it is many times slower
        return (share * advice.movedim(-1, 0)).sum(0)

    def _per_expert(self, tensor: Tensor) -> Tensor:
        return tensor.reshape(*tensor.shape[:-1], len(self.config.targets), self.config.experts)

    def losses(self, around: Around, advice: Tensor, mask: Tensor, before: Tensor) -> Tensor:
        """Sums of each expert's errors, around; mask [T, batch, features], before [batch, targets, experts]."""
        assert around.age is not None
        columns = list(self.config.target_columns)
        last, unit = around.last[..., columns], around.unit[:-1, :, columns]
        moved = ((last[1:] - last[:-1]) / unit).clip(-LINEAR_LIMIT, LINEAR_LIMIT)
        counted = (mask * (around.age[:-1] < REGRET_LIMIT))[..., columns]
        error = (moved[..., None] - advice[:-1]).abs().clip(max=SEEN_LIMIT) * counted[..., None]
        return fold(before, error.detach())

    def forward(self, x: Tensor, mask: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """As the model file: quantiles [T, batch, targets, levels], surprise [T, batch, targets], the next state."""
        config = self.config
        around = self.around(x, mask, state)
        before = self.cells.from_rows(state)
        y, after = self.cells(around.seen, before)
        hidden = torch.cat([before[0][-1:], y])
        following = around.state | self.cells.to_rows(after)
        correction, widths = self.predict(hidden)
        widths = widths * self.stretch
        columns = list(config.target_columns)
        base, unit = around.last[..., columns], around.unit[..., columns, None]
        if around.linear is not None:
            said = around.linear.double() @ self.linear.weight.double().T + self.linear.bias.double()
            advice = self._per_expert(said.float())
            against = None
            if config.experts > 1:
                losses = self.losses(around, advice, mask[..., : len(config.features)], state["losses"])
                following["losses"], against = losses[-1], doubt(losses)
            base = base + self.mix(hidden, advice, against) * unit[..., 0]
        median = base[..., None] + correction * unit
        values = around.last[1:, :, columns]
        distance = (values[..., None] - median[:-1]) / unit[:-1]
        told = there = mask[..., columns]
        if config.reach:
            told = there * (state["reach"][..., 0] + there.cumsum(0) - there).clip(max=1.0)
            factor, following["reach"] = factors(distance, widths[:-1], there, self.usual, state["reach"])
            widths = widths * factor[..., None]
        quantiles = median + widths @ torch.from_numpy(OFFSETS) * unit
        if config.scaling == "fixed":
            quantiles = quantiles + self.center[columns][:, None]
        return quantiles[1:], self.surprise(distance, widths[:-1]) * told, following

    def surprise(self, distance: Tensor, widths: Tensor) -> Tensor:
        """distance [..., targets, 1] of the value from the median and widths [..., targets, 4], in scales."""
        sides = torch.cat([distance, -distance], -1)
        inner, outer = widths[..., :2], widths[..., 2:]
        far = (sides - inner) / outer
        total = INNER * (sides / inner).clip(0, 1) + (1 - INNER) * far.clip(0, 1) + self.tail * (far - 1).clip(0, 1e6)
        return total.amax(-1).clip(max=SURPRISE_LIMIT)

    def _running(
        self, values: Tensor, mask: Tensor, last: Tensor, sums: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Mean, spread and change around each event, and the next sums: `export.scaling.stream`, line by line."""
        count_in, anchor_in, total_in, spread_in, change_in = sums.transpose(0, 1)
        first = values.gather(0, mask.argmax(0, keepdim=True))[0]
        anchor = torch.where(count_in > 0, anchor_in, first)
        count = fold(count_in, mask).clip(max=COUNT_LIMIT)
        running = mask * (count[:-1] < COUNT_LIMIT)
        again = running * count[:-1].clip(max=1.0)
        total = fold(total_in, running * (values - anchor))
        known = anchor * count.clip(max=1.0)
        mean = known + total / count.clip(min=1.0)
        spread = fold(spread_in, again * (last[1:] - mean[:-1]).abs())
        change = fold(change_in, again * (last[1:] - last[:-1]).abs())
        changes = (count - 1).clip(min=0.0)
        weight = PRIOR_WEIGHT / (changes + 1)
        prior = (known.abs() * self.prior[0] + self.prior[1]) * weight
        following = torch.stack([count[-1], anchor, total[-1], spread[-1], change[-1]], 1)
        return mean, (spread + prior) / (changes + weight), (change + prior) / (changes + weight), following


def doubt(losses: Tensor) -> Tensor:
    """What losses say against each expert, 0 for the best one."""
    return (losses.amin(-1, keepdim=True) - losses).clip(min=-DOUBT_LIMIT)


def _fill(values: Tensor, mask: Tensor, before: Tensor) -> Tensor:
    """Each missing value by the newest one there was; before [batch, features] stands in at the start."""
    index = torch.arange(1, len(values) + 1)[:, None, None] * (mask > 0)
    return torch.cat([before[None], values]).gather(0, index.cummax(0).values)
