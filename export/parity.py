"""What every exported file must pass: only tested operators, the same bits in every rectangle, parity with PyTorch.

Knows the file and onnxruntime. The PyTorch module comes in as a function of numpy arrays, so torch is not imported.
"""

from collections.abc import Callable, Sequence

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto

from export.config import LEVELS, Config, Weights
from export.trust import unknown

Floats = NDArray[np.float32]
State = dict[str, Floats]
# x, mask [time, batch, columns], state -> what is predicted, surprise, next state under the names of its inputs
Step = Callable[[Floats, Floats, State], tuple[Floats, Floats, State]]

HOUR = 3_600_000  # milliseconds
LATEST = 2.0**24 * HOUR  # whole hours are exact in float32 up to here

TOLERANCE = 1e-5
STEPS = 200
RECTANGLES = (1, 1, 2, 5, 1, 16, 3, 40, 1, 9)  # events a call, again and again, up to STEPS
# Every batch size from 1 to 100 would be the full proof and takes seconds; these are 1, the widths of vector registers
# and of matrix tiles, and their neighbours.
BATCHES = (2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65, 96, 99, 100)


class ParityError(Exception):
    """The file does not do what the network does, or not always with the same bits; it must not be exported."""

    exit_code = 1


def check(model: ModelProto, config: Config, weights: Weights, reference: Step | None) -> float | None:
    """All checks; gives the greatest difference to the reference in units of the stream's scale (None without one).

    Raises ParityError.
    """
    operators(model)
    step = session(model, config)
    bits(step, config, weights)
    return difference(step, reference, config, weights) if reference else None


def operators(model: ModelProto) -> None:
    """Refuse operators that are not on the list."""
    others = unknown(model)
    if others:
        raise ParityError(f"the graph has operators whose bits are not known to be stable: {', '.join(others)}")


def session(model: ModelProto, config: Config) -> Step:
    """The model under onnxruntime, one thread, CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    run = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"]).run
    outputs = [config.output, "surprise", *(t.output for t in config.state)]

    def step(x: Floats, mask: Floats, state: State) -> tuple[Floats, Floats, State]:
        predicted, surprise, *tensors = run(outputs, {"x": x, "mask": mask, **state})
        return predicted, surprise, {t.input: tensor for t, tensor in zip(config.state, tensors, strict=True)}

    return step


def cold(config: Config, batch: int) -> State:
    """The state of streams that have seen nothing."""
    return {t.input: np.zeros((batch, *t.shape), np.float32) for t in config.state}


def walks(config: Config, weights: Weights, time: int, batch: int, seed: int = 0) -> tuple[Floats, Floats]:
    """Random walks in the user's units with a fifth of the values missing: x and mask [time, batch, features].

    Some streams begin with missing values; one is constant; of scaling "stream" each has a scale of its own.
    """
    random = np.random.default_rng(seed)
    shape = (time, batch, len(config.features))
    steps = random.standard_normal(shape)
    steps[:, 1:2] = 0
    if config.scaling == "fixed":
        x = weights["center"] + weights["scale"] * steps.cumsum(0)
    else:
        x = 10.0 ** random.uniform(-3, 3, shape[1:]) * (random.standard_normal(shape[1:]) + steps.cumsum(0))
    mask = (random.random(shape) > 0.2).astype(np.float32)
    mask[: min(3, time), 2:4] = 0
    return np.where(mask > 0, x, 0).astype(np.float32), mask


def symbols(config: Config, time: int, batch: int, seed: int = 0) -> tuple[Floats, Floats]:
    """Random indexes of symbols with a fifth of them missing, x and mask [time, batch, 1]; some lie beyond the last.

    Half of the streams say each quarter the same again.
    """
    random = np.random.default_rng(seed)
    x = random.integers(0, config.outcomes + 1, (time, batch, 1)).astype(np.float32)
    x[:, ::2] = x[np.arange(time) % max(time // 4, 4), ::2]
    mask = (random.random(x.shape) > 0.2).astype(np.float32)
    return x * mask, mask


def clocks(config: Config, weights: Weights, time: int, batch: int, seed: int = 0) -> Floats:
    """Times as a model with a clock takes them, [time, batch, 2]: mostly growing, some standing still or going back."""
    random = np.random.default_rng(seed)
    typical = float(weights["typical"][0]) if config.since_last else HOUR
    gaps = typical * random.exponential(size=(time, batch)) * 10.0 ** random.integers(-2, 3, (time, batch))
    gaps *= random.choice([1.0, 0.0, -0.5], gaps.shape, p=[0.9, 0.07, 0.03])
    start = random.uniform(1e11, 2e12, batch)  # 1973 to 2033
    milliseconds = np.clip(start + gaps.cumsum(0), 0, LATEST).astype(np.int64)
    return np.stack(np.divmod(milliseconds, HOUR), axis=-1).astype(np.float32)


def inputs(config: Config, weights: Weights, time: int, batch: int, seed: int = 0) -> tuple[Floats, Floats]:
    """x and mask [time, batch, columns] of streams that the model could see."""
    if config.task == "symbol":
        x, mask = symbols(config, time, batch, seed)
    else:
        x, mask = walks(config, weights, time, batch, seed)
    if config.clock:
        clock = clocks(config, weights, time, batch, seed)
        x, mask = np.concatenate([x, clock], axis=2), np.concatenate([mask, np.ones_like(clock)], axis=2)
    return x, mask


def bits(step: Step, config: Config, weights: Weights, batches: Sequence[int] = BATCHES, time: int = 12) -> None:
    """Refuse a file whose bits depend on the batch size or on how the events are split over calls."""
    x, mask = inputs(config, weights, time, max(batches))
    whole = _columns(*step(x, mask, cold(config, len(x[0]))))
    for size in (1, *batches):
        for first in range(0, len(x[0]) - size + 1, max(size, 7)):
            part = slice(first, first + size)
            if _columns(*step(x[:, part], mask[:, part], cold(config, size))) != whole[part]:
                raise ParityError(f"the file gives other bits for a batch of {size} than for one of {len(x[0])}")
    singly, many = [1] * time, len(x[0])
    for streams, calls in ((many, singly), (many, [time // 2, time - time // 2]), (many, [1, time - 1]), (1, singly)):
        state, predicted, surprise, start = cold(config, streams), [], [], 0
        for events in calls:
            part = slice(start, start + events)
            p, s, state = step(x[part, :streams], mask[part, :streams], state)
            predicted.append(p)
            surprise.append(s)
            start += events
        if _columns(np.concatenate(predicted), np.concatenate(surprise), state) != whole[:streams]:
            raise ParityError(
                f"the file gives other bits for {time} events of {streams} streams in calls of {calls} than in one call"
            )


def _columns(predicted: Floats, surprise: Floats, state: State) -> list[bytes]:
    """All that came out, one string of bytes for each stream."""
    return [
        b"".join(
            array.tobytes() for array in (predicted[:, i], surprise[:, i], *(tensor[i] for tensor in state.values()))
        )
        for i in range(predicted.shape[1])
    ]


def difference(step: Step, reference: Step, config: Config, weights: Weights, batch: int = 6) -> float:
    """The greatest difference of what is predicted, step by step with carried state, in units of the stream's scale.

    Where a quantile lies further from its median than a scale, that distance is the unit. What float32 cannot resolve
    at the value's magnitude is not counted: a last place of 1013 is 1e-4 of a scale of 0.5.
    Raises ParityError above TOLERANCE, and where surprise or a state differs visibly.
    """
    x, mask = inputs(config, weights, STEPS, batch, seed=1)
    unit = scales(config, weights, x, mask) if config.task == "number" else np.ones(1)
    ours, theirs = cold(config, batch), cold(config, batch)
    greatest, start, call = 0.0, 0, 0
    while start < STEPS:
        stop = min(start + RECTANGLES[call % len(RECTANGLES)], STEPS)
        p1, s1, ours = step(x[start:stop], mask[start:stop], ours)
        p2, s2, theirs = reference(x[start:stop], mask[start:stop], theirs)
        apart = np.maximum(np.abs(p1 - p2) - np.spacing(np.abs(p2)), 0) / np.maximum(unit, reach(config, p2))
        greatest = max(greatest, float(apart.max()))
        if not greatest <= TOLERANCE:
            raise ParityError(f"the file and the PyTorch module differ by {greatest:.2g} scales, more than {TOLERANCE}")
        if not np.allclose(s1, s2, rtol=1e-2, atol=1e-2):
            raise ParityError("the file and the PyTorch module differ in surprise")
        if not all(np.allclose(ours[name], theirs[name], rtol=1e-4, atol=1e-4) for name in ours):
            raise ParityError("the file and the PyTorch module differ in their next state")
        start, call = stop, call + 1
    return greatest


def reach(config: Config, predicted: Floats) -> Floats:
    """How far each quantile lies from its median; of probabilities 0."""
    if config.task != "number":
        return np.zeros_like(predicted)
    middle = LEVELS.index(0.5)
    distance: Floats = np.abs(predicted - predicted[..., middle : middle + 1])
    return distance


def scales(config: Config, weights: Weights, x: Floats, mask: Floats) -> Floats:
    """The unit of each stream's predictions, [batch, targets, 1]; probabilities have none.

    It is the fixed one, or the stream's mean absolute change, if not its prior is larger.
    """
    x, mask = (array[..., : len(config.features)] for array in (x, mask))
    if config.scaling == "fixed":
        scale = np.broadcast_to(weights["scale"], x.shape[1:])
    else:
        changes = np.nanmean(np.abs(np.diff(np.where(mask > 0, x, np.nan), axis=0)), axis=0)
        first = np.take_along_axis(x, (mask > 0).argmax(axis=0)[None], axis=0)[0]
        scale = np.maximum(changes, weights["prior"][0] * np.abs(first) + weights["prior"][1])
    unit: Floats = scale[:, list(config.target_columns), None]
    return unit
