"""The cells in PyTorch: what they compute, what they learn by, and that training sees what serving will see."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from engine.columns import clock as clock_columns
from export.config import Config
from export.head import OFFSETS
from training.cells import Cells, initialise
from training.data import Events
from training.dropout import dropout
from training.lanes import Piece, windows
from training.network import Network
from training.peepholes import PeepholeLSTM
from training.prepare import prepare
from training.splits import split_at
from training.unroll import normal_loss, run

CELLS = ("lstm", "graves-lstm", "gru", "rnn")


def config_of(cell: str, layers: int = 2) -> Config:
    return Config(hidden=6, layers=layers, cell=cell)  # type: ignore[arg-type]


@pytest.mark.parametrize(("cell", "theirs"), [("lstm", nn.LSTM), ("gru", nn.GRU), ("rnn", nn.RNN)])
def test_cells_are_pytorchs_with_the_same_names_of_weights(cell: str, theirs: type[nn.RNNBase]) -> None:
    cells, x = Cells(config_of(cell)), torch.randn(7, 4, 3)
    other = theirs(3, 6, 2)
    other.load_state_dict(cells.state_dict())
    y, state = cells(x, cells.cold(4))
    expected, after = other(x)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(state, after if isinstance(after, tuple) else (after,))


def test_without_its_peepholes_a_graves_lstm_is_an_lstm() -> None:
    graves, plain = Cells(config_of("graves-lstm")), Cells(config_of("lstm"))
    weights = graves.state_dict()
    for name in weights:
        if "peephole" in name:
            weights[name].zero_()
    plain.load_state_dict({name: weight for name, weight in weights.items() if "peephole" not in name})
    x = torch.randn(7, 4, 3)
    torch.testing.assert_close(graves(x, graves.cold(4)), plain(x, plain.cold(4)), rtol=1e-5, atol=1e-6)


def test_peepholes_stand_where_graves_put_them() -> None:
    size = 3
    shapes = ((1, 2, 4), (2, size), (2, size), (4 * size, 4), (4 * size, size), (4 * size,), (3, size))
    x, h, c, w, r, b, (to_i, to_f, to_o) = (torch.randn(shape) for shape in shapes)
    i, f, g, o = (x[0] @ w.T + h @ r.T + b).split(size, dim=1)
    cell = torch.sigmoid(f + to_f * c) * c + torch.sigmoid(i + to_i * c) * torch.tanh(g)
    hidden = torch.sigmoid(o + to_o * cell) * torch.tanh(cell)
    y, after = PeepholeLSTM.apply(x, h, c, w, r, b, torch.stack([to_i, to_f, to_o]))
    torch.testing.assert_close((y[0], after), (hidden, cell))


def test_the_hand_written_gradients_of_peepholes_are_right() -> None:
    torch.manual_seed(0)
    shapes = ((4, 2, 3), (2, 3), (2, 3), (12, 3), (12, 3), (12,), (3, 3))
    inputs = [torch.randn(shape, dtype=torch.double, requires_grad=True) for shape in shapes]
    assert torch.autograd.gradcheck(PeepholeLSTM.apply, inputs)


@pytest.mark.parametrize("cell", CELLS)
def test_dropout_stands_between_layers_only(cell: str) -> None:
    one, two = Cells(config_of(cell, 1)), Cells(config_of(cell, 2))
    x = torch.randn(7, 4, 3)

    def differs(cells: Cells) -> bool:
        return not torch.equal(cells(x, cells.cold(4), 0.5)[0], cells(x, cells.cold(4))[0])

    assert not differs(one)
    assert differs(two)


def test_dropout_hides_its_share_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    x = torch.ones(300, 1001)
    hidden = dropout(x, 0.3)
    assert float((hidden == 0).float().mean()) == pytest.approx(0.3, abs=0.005)
    assert float(hidden.mean()) == pytest.approx(1, abs=0.01)
    assert len(hidden.unique()) == 2
    assert dropout(x, 0.0) is x


@pytest.mark.parametrize("cell", CELLS)
def test_rows_hold_the_state_by_its_names(cell: str) -> None:
    config = config_of(cell)
    cells = Cells(config)
    _, state = cells(torch.randn(5, 4, 3), cells.cold(4))
    rows = cells.to_rows(state)
    assert set(rows) == {tensor.input for tensor in config.state} - {"history", "sums"}
    torch.testing.assert_close(cells.from_rows(rows), state)


@pytest.mark.parametrize("cell", CELLS)
def test_fresh_cells_recur_orthogonally_and_an_lstm_forgets_little(cell: str) -> None:
    cells = Cells(config_of(cell))
    initialise(cells)
    for gate in cells.get_parameter("weight_hh_l1").detach().split(6):
        torch.testing.assert_close(gate @ gate.T, torch.eye(6), atol=1e-5, rtol=0)
    bias = cells.get_parameter("bias_ih_l1").detach().reshape(-1, 6).sum(1)
    assert bias.tolist() == ([0, 6, 0, 0] if "lstm" in cell else [0] * len(bias))


def test_the_normal_heads_loss_is_the_negative_logarithm_of_the_density() -> None:
    network = Network(Config(head="normal", hidden=6))
    mean, widths = network.predict(torch.randn(5, 6))
    change, weight = torch.randn(5, 1), torch.tensor([[1.0], [1.0], [0.0], [1.0], [1.0]])
    deviation = widths[:, 0, :1] / 0.6744897501960817  # the upper quartile of a standard normal
    density = torch.distributions.Normal(mean[:, 0], deviation).log_prob(change)
    constant = weight.sum() * np.log(2 * np.pi) / 2
    torch.testing.assert_close(normal_loss(mean, widths, change, weight) + constant, -(density * weight).sum())


@pytest.mark.parametrize("head", ["quantile", "normal"])
@pytest.mark.parametrize("scaling", ["fixed", "stream"])
@pytest.mark.parametrize("lags", [(), (1, 2, 5)])
def test_training_runs_on_what_the_whole_module_says_step_by_step(
    head: str, scaling: str, lags: tuple[int, ...]
) -> None:
    random = np.random.default_rng(3)
    length, streams = 30, 3
    times = np.cumsum(random.integers(1, 5_000_000, length * streams)) + 10**12
    values = random.normal(size=(length * streams, 2)).cumsum(0)
    values[random.random(values.shape) < 0.1] = np.nan
    events = Events(
        keys=[b"a", b"b", b"c"],
        stream=np.tile(np.arange(streams), length),
        time=times,
        values=values,
        features=("x", "y"),
        timed=True,
    )
    config = Config(
        ("x", "y"), ("y",), hidden=6, scaling=scaling, lags=lags, head=head, calendar=("hour",), since_last=True
    )  # type: ignore[arg-type]
    network = Network(config)
    network.typical.fill_(1_000_000.0)
    prepared = prepare(events, split_at(events, int(times[-2]), int(times[-1])), network)
    pieces = [Piece(i, 0, length - 1) for i in range(streams)]
    with torch.no_grad():
        (found,) = run(network, prepared, windows(pieces, streams, length, random))
        window, base, widths, _, _ = found
        order = [piece.stream for piece in window.pieces]
        quantiles = whole(network, events, times)[:-1, order]
        around = network.around(*rectangle(events, times), network.cold(streams))
        last, unit = around.last[1:-1, order, 1:], around.unit[1:-1, order, 1:, None]
        expected = last[..., None] + (base + widths @ torch.from_numpy(OFFSETS)) * unit
        if scaling == "fixed":
            expected = expected + network.center[1]
    torch.testing.assert_close(quantiles, expected, rtol=1e-5, atol=1e-5)


def rectangle(events: Events, times: np.ndarray) -> tuple[Tensor, Tensor]:
    """x and mask of streams that take turns, [time, streams, columns]."""
    values = events.values.reshape(-1, len(events.keys), 2)
    clock = clock_columns(times.reshape(values.shape[:2]))
    x = np.concatenate([np.nan_to_num(values).astype(np.float32), clock], axis=-1)
    mask = np.concatenate([np.isfinite(values), np.ones_like(clock)], axis=-1).astype(np.float32)
    return torch.from_numpy(x), torch.from_numpy(mask)


def whole(network: Network, events: Events, times: np.ndarray) -> Tensor:
    """Quantiles event by event, with carried state."""
    x, mask = rectangle(events, times)
    state, parts = network.cold(x.shape[1]), []
    for t in range(len(x)):
        quantiles, _, state = network(x[t : t + 1], mask[t : t + 1], state)
        parts.append(quantiles)
    return torch.cat(parts)
