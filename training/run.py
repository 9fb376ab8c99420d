"""From files to a run's folder: the one entry of training. The command line only calls what stands here.

RUN/ holds model.onnx, weights.safetensors and config.json (from which the file can be built again), metrics.json,
metrics.jsonl (one line per epoch), card.md and card.html with pictures/, curves.svg and curves.png.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec
import numpy as np
import torch

from export import parity
from export.config import Config, Weights
from export.file import save, sign, write
from export.graph import build
from export.signature import Signature, Training, load
from training import checkpoint, experts, trainer
from training.calibrate import calibrate
from training.card.facts import facts
from training.card.save import save as save_card
from training.card.verdict import verdict
from training.checkpoint import Checkpoint
from training.data import Events, read_events
from training.errors import DataError, TrainingError, TrainingStopped
from training.journal import LINES, Journal
from training.measure import choose_lags, constants
from training.network import Network
from training.number import Number, initialise
from training.options import TrainOptions
from training.prepare import Prepared, prepare
from training.progress import Progress, silent
from training.recipe import Recipe
from training.resume import CheckpointFile, identity
from training.scores.evaluate import Scores, evaluate, summary
from training.splits import TRAIN, Split, check_values, split

MODEL, METRICS = "model.onnx", "metrics.json"
LEFT = (MODEL, METRICS, checkpoint.CONFIG, checkpoint.WEIGHTS, LINES, "card.md", "card.html", "curves.svg", "curves.png")
HIDDEN = 64


@dataclass(frozen=True)
class RunResult:
    """What a run left."""

    folder: Path
    model: Path
    signature: Signature
    metrics: Scores  # as metrics.json
    verdict: str


def train(
    data: Sequence[Path | str],
    options: TrainOptions,
    report: Progress = silent,
    within: Progress = silent,
    say: Callable[[str], None] = silent,
) -> RunResult:
    """Read, train, calibrate, export, check parity, score, write the card.

    report gets a row at the end of each epoch, within one after each step, say what else there is to tell. Raises
    TrainingError and its kind; parity.ParityError where the exported file is not faithful.
    """
    options.check()
    began = time.monotonic()
    events = read_events(data, options.key, options.value or ("value",), options.time)
    parts = split(events, options.train_share, options.valid_share)
    check_values(events, parts)
    folder = _folder(options.out)
    read = time.monotonic()

    torch.set_num_threads(options.threads or os.cpu_count() or 1)
    torch.manual_seed(options.seed)
    made_of = identity(options, torch.get_num_threads(), {"torch": str(torch.__version__)}, (events, parts))
    saved = CheckpointFile(folder, made_of, options.resume)
    if options.resume:
        words, complete = saved.told()
        say(words)
        if complete and all((folder / name).exists() for name in LEFT):
            return _left(folder)
    journal = Journal(folder, options.tensorboard, report)
    network = _network(events, parts, options)
    prepared = prepare(events, parts, network)
    initialise(network)
    _fit_experts(network, prepared, options.seed)
    task = Number(network, prepared)
    task.record()
    outcome = trainer.train(task, _recipe(options), journal.write, checkpointer=saved, within=within)
    journal.close()
    weights = network.weights() | calibrate(network, prepared)
    trained = time.monotonic()

    point = Checkpoint(
        features=network.config.features,
        targets=network.config.targets,
        hidden=network.config.hidden,
        layers=network.config.layers,
        scaling=network.config.scaling,
        lags=network.config.lags,
        experts=network.config.experts,
        training=_window(events, parts),
        metrics={},
        options={name: str(v) if isinstance(v, Path) else v for name, v in asdict(options).items()},
    )
    _export(point, weights, folder / MODEL)
    exported = time.monotonic()
    found = evaluate(folder / MODEL, events, parts, options.ar_order, options.seed)
    point.metrics = summary(found.scores)
    checkpoint.save(folder, point, weights)
    signature = _export(point, weights, folder / MODEL)
    done = time.monotonic()

    metrics: Scores = {
        **found.scores,
        "model": facts(signature),
        "choices": [],
        "notes": [],
        "split": {"valid_from": parts.valid, "test_from": parts.test},
        "training": asdict(outcome),
        "parity": signature.parity,
        "seconds": {
            "read": read - began,
            "train": trained - read,
            "export": exported - trained,
            "score": done - exported,
            "all": done - began,
        },
    }
    write(folder / METRICS, msgspec.json.format(msgspec.json.encode(metrics), indent=2))
    save_card(folder, metrics, journal.rows, found.stretches)
    saved.finish()
    return RunResult(folder, folder / MODEL, signature, metrics, verdict(metrics))


def export_run(run: Path | str, out: Path | str) -> Signature:
    """Build a run's model file again from its weights, and check it.

    Raises TrainingError where the folder holds no run or the file cannot be written, parity.ParityError where the
    file is not faithful.
    """
    out = Path(out)
    if out.is_dir():
        raise TrainingError(f"--out {out}: is a directory; give the path of a file")
    if out.resolve() in [(Path(run) / name).resolve() for name in (checkpoint.CONFIG, checkpoint.WEIGHTS)]:
        raise TrainingError(f"--out {out}: is what the model is built from; give another path")
    point, weights = checkpoint.load(Path(run))
    try:
        return _export(point, weights, out)
    except OSError as error:
        raise TrainingError(f"--out {out}: cannot be written ({error.strerror}); give another path") from None


def _left(folder: Path) -> RunResult:
    """A run that is over, as it stands in its folder."""
    metrics: Scores = msgspec.json.decode((folder / METRICS).read_bytes())
    _, signature = load(folder / MODEL)
    return RunResult(folder, folder / MODEL, signature, metrics, verdict(metrics))


def _export(point: Checkpoint, weights: Weights, path: Path) -> Signature:
    model = build(point.config, weights)
    worst = parity.check(model, point.config, weights, reference(point.config, weights))
    signature = sign(
        point.config, training=point.training, metrics=point.metrics, parity=worst, package=f"statecast {_version()}"
    )
    save(model, signature, path)
    return signature


def reference(config: Config, weights: Weights) -> parity.Step:
    """The PyTorch module as parity wants it: a function of numpy arrays."""
    network = Network(config).load(weights).eval()

    def step(
        x: parity.Floats, mask: parity.Floats, state: parity.State
    ) -> tuple[parity.Floats, parity.Floats, parity.State]:
        tensors = {name: torch.from_numpy(array) for name, array in state.items()}
        with torch.no_grad():
            quantiles, surprise, following = network(torch.from_numpy(x), torch.from_numpy(mask), tensors)
        return quantiles.numpy(), surprise.numpy(), {name: tensor.numpy() for name, tensor in following.items()}

    return step


def _network(events: Events, parts: Split, options: TrainOptions) -> Network:
    lags = choose_lags(events, parts, options.lags)
    config = Config(
        features=events.features,
        targets=events.features,
        hidden=options.hidden or HIDDEN,
        layers=options.layers,
        scaling=options.scaling or "stream",
        lags=lags,
        # One for each stream, and one that says "no change".
        experts=min(options.experts, len(events.keys) + 1) if lags else 1,
    )
    measured = constants(events, parts, config)
    network = Network(config)
    return network.load(network.weights() | measured)


def _recipe(options: TrainOptions) -> Recipe:
    return Recipe(
        epochs=options.epochs or 40,
        patience=options.patience,
        tbptt=options.tbptt or 48,
        lanes=options.lanes,
        optimizer=options.optimizer,
        learning_rate=options.learning_rate or 3e-3,
        momentum=options.momentum,
        weight_decay=options.weight_decay,
        schedule=options.schedule or "plateau",
        clipping=options.clipping,
        clip=options.clip,
        average=options.average,
        dropout=0.2 if options.dropout is None else options.dropout,
        seconds=options.budget * 60,
        seed=options.seed,
    )


def _fit_experts(network: Network, prepared: Prepared, seed: int) -> None:
    if not network.config.lags:
        return
    fitted = [
        experts.fit(prepared, target, network.config.experts, seed) for target in range(len(network.config.targets))
    ]
    network.linear.weight.data = torch.from_numpy(np.concatenate(fitted).astype(np.float32))


def _window(events: Events, parts: Split) -> Training:
    trained = parts.part == TRAIN
    first, last = (
        datetime.fromtimestamp(int(time) / 1000, UTC).isoformat() if events.timed else ""
        for time in (events.time[trained].min(), events.time[trained].max())
    )
    return Training(first, last, int(trained.sum()), len(np.unique(events.stream[trained])))


def _folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"--out {path}: cannot be made a folder ({error.strerror}); give another path") from None
    return path


def _version() -> str:
    try:
        return version("statecast")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unknown"


__all__ = ["RunResult", "TrainOptions", "TrainingStopped", "export_run", "reference", "train"]
