"""What the graph sees of an event's time, by itself: cycles and gaps as they should be, the same as in training."""

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import ModelProto, TensorProto, checker, helper, shape_inference

from engine.columns import clock as clock_columns
from export import clock
from export.config import CLOCK, Config, Weights
from export.graph import IR, OPSET
from export.nodes import Pen
from training import clock as training_clock

CYCLES = ("hour", "weekday", "year")
BOTH = Config(calendar=CYCLES, since_last=True)
MINUTE = 60_000
WEIGHTS: Weights = {"typical": np.array([MINUTE], np.float32)}


def model(config: Config) -> ModelProto:
    """The graph of the clock alone: x and perhaps the clock's state in, what is seen and the next state out."""
    pen = Pen()
    told = clock.seen(pen, config, WEIGHTS)

    def value(name: str, *shape: str | int) -> object:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    inputs, outputs = [value("x", "time", "batch", 3)], [value(told, "time", "batch", config.clock_width)]
    if config.since_last:
        inputs.append(value("clock", "batch", 2))
        outputs.append(value("clock_next", "batch", 2))
    graph = helper.make_graph(pen.nodes, "clock", inputs, outputs, pen.constants)
    found = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    checker.check_model(found, full_check=True)
    return found


def seen(config: Config, time: np.ndarray, state: np.ndarray | None = None) -> list[np.ndarray]:
    """[time, batch, clock_width] of times in milliseconds [time, batch], and the next state where there is one."""
    columns = clock_columns(time)
    feeds = {"x": np.concatenate([np.zeros((*time.shape, 1), np.float32), columns], axis=-1)}
    if config.since_last:
        feeds["clock"] = np.zeros((time.shape[1], len(CLOCK)), np.float32) if state is None else state
    session = onnxruntime.InferenceSession(model(config).SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feeds)  # type: ignore[no-any-return]


def at(*texts: str) -> np.ndarray:
    return np.array(texts, "datetime64[ms]").astype(np.int64)


def test_cycles_are_the_sine_and_cosine_of_where_the_day_the_week_and_the_year_stand() -> None:
    random = np.random.default_rng(0)
    time = random.integers(-(10**11), 6 * 10**13, (1, 5000))  # until the year 3871
    days = time[..., None] / 86.4e6
    angles = 2 * np.pi * days / np.array([1, 7, 365.2425])
    (found,) = seen(Config(calendar=CYCLES), time)
    np.testing.assert_allclose(found, np.concatenate([np.sin(angles), np.cos(angles)], -1), atol=1.2e-7)


def test_noon_is_opposite_to_midnight_and_a_week_later_is_the_same() -> None:
    (found,) = seen(
        Config(calendar=("hour", "weekday")),
        at("2024-03-01T00:00", "2024-03-01T12:00", "2024-03-08T00:00")[:, None],
    )
    np.testing.assert_allclose(found[:, 0, 2], [1, -1, 1], atol=1e-6)
    np.testing.assert_allclose(found[2], found[0], atol=1e-6)


def test_the_gap_is_nothing_at_first_then_a_bent_logarithm_of_it_in_typical_gaps() -> None:
    start = int(at("2024-03-01T00:00")[0])
    ratios = np.array([1, 10, 0.1, 100])
    time = start + np.concatenate([[0], np.cumsum(ratios * MINUTE)]).astype(np.int64)
    found, _ = seen(Config(since_last=True), time[:, None])
    np.testing.assert_allclose(found[:, 0, 0], [0, *(16 * np.tanh(np.log(ratios) / 16))], atol=1e-6)


@pytest.mark.parametrize("gap", [0, 1, -MINUTE, -(10**12)])
def test_a_time_that_stands_still_or_goes_back_is_the_smallest_gap(gap: int) -> None:
    start = int(at("2024-03-01T00:00")[0])
    found, _ = seen(Config(since_last=True), np.array([[start], [start + gap]]))
    assert found[1, 0, 0] == -clock.GAP_LIMIT


def test_the_largest_gap_is_limited() -> None:
    found, _ = seen(Config(since_last=True), at("1971-01-01", "2300-01-01")[:, None])
    assert found[1, 0, 0] == clock.GAP_LIMIT


def test_an_hour_is_told_from_a_millisecond_more() -> None:
    start = int(at("2024-03-01T00:00")[0])
    found, _ = seen(Config(since_last=True), np.array([[start] * 2, [start + MINUTE, start + MINUTE + 1]]))
    assert found[1, 1, 0] > found[1, 0, 0]


def test_batches_and_splits_over_time_change_no_bit_and_training_sees_the_same() -> None:
    random = np.random.default_rng(1)
    time = 10**12 + np.cumsum(random.integers(-1000, 10 * MINUTE, (3, 100)) * (random.random((3, 100)) > 0.2), axis=0)
    whole, _ = seen(BOTH, time)
    for size in (1, 2, 3, 5, 8, 17, 33, 64, 99):
        part, _ = seen(BOTH, time[:, -size:])
        assert part.tobytes() == np.ascontiguousarray(whole[:, -size:]).tobytes()
    state, parts = None, []
    for row in time:
        part, state = seen(BOTH, row[None], state)
        parts.append(part)
    assert np.concatenate(parts).tobytes() == whole.tobytes()
    theirs = training_clock.seen(
        BOTH, torch.from_numpy(clock_columns(time)), torch.zeros(100, 2), torch.from_numpy(WEIGHTS["typical"])
    )
    np.testing.assert_allclose(theirs.numpy(), whole, atol=1e-6)


def test_what_is_computed_of_times_is_computed_in_double() -> None:
    inferred = shape_inference.infer_shapes(model(BOTH)).graph
    kinds = {value.name: value.type.tensor_type.elem_type for value in inferred.value_info}
    exact = [node for node in inferred.node if node.op_type in ("Mul", "Add", "Div", "Sqrt", "Round")]
    assert len(exact) > 20
    assert {kinds[node.output[0]] for node in exact} == {TensorProto.DOUBLE}
    assert not {"Sin", "Cos", "Log"} & {node.op_type for node in inferred.node}
