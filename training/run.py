"""From files to a run's folder: the one entry of training. The command line only calls what stands here.

RUN/ holds model.onnx, weights.safetensors and config.json (from which the file can be built again), metrics.json,
metrics.jsonl (one line per epoch), choices.json, card.md and card.html with pictures/, curves.svg and curves.png.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from onnx import ModelProto

from export import parity
from export.config import Weights
from export.file import save, sign, write
from export.graph import build
from export.signature import ModelFileError, Signature, Training, load
from training import checkpoint, choose, trainer
from training.card.facts import facts
from training.card.save import save as save_card
from training.card.verdict import verdict
from training.checkpoint import Checkpoint
from training.data import Events, read
from training.errors import DataError, TrainingError
from training.journal import LINES, Journal
from training.kinds import kind as kind_of
from training.options import TrainOptions
from training.progress import Progress, silent
from training.reference import reference
from training.resume import CheckpointFile, identity
from training.scores.evaluate import Scores, evaluate, summary
from training.splits import TRAIN, Split, split, what_is_labelled

MODEL, METRICS = "model.onnx", "metrics.json"
LEFT = (
    MODEL,
    METRICS,
    checkpoint.CONFIG,
    checkpoint.WEIGHTS,
    LINES,
    "card.md",
    "card.html",
    "curves.svg",
    "curves.png",
)
Say = Callable[[str], None]


@dataclass(frozen=True)
class RunResult:
    """What a run left."""

    folder: Path
    model: Path
    signature: Signature
    metrics: Scores  # as metrics.json
    verdict: str


class Stopwatch:
    """How long each part of a run took, in seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._began = time.monotonic()

    def note(self, part: str) -> None:
        """What passed since the last note was this part."""
        self.seconds[part] = self.all - sum(self.seconds.values())

    @property
    def all(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._began


def train(
    data: Sequence[Path | str],
    options: TrainOptions,
    report: Progress = silent,
    within: Progress = silent,
    say: Say = silent,
) -> RunResult:
    """Read, choose a structure, train, calibrate, export, check parity, score, write the card.

    report gets a row at the end of each epoch, within one after each step, say what else there is to tell. Raises
    TrainingError and its kind; parity.ParityError where the exported file is not faithful, after the weights were kept.
    """
    options.check()
    took = Stopwatch()
    events = read(data, options)
    parts = _split(events, options)
    kind = kind_of(events, parts, options)
    folder = _folder(options.out)
    with _locked(folder):
        torch.set_num_threads(options.threads or kind.threads)
        made_of = identity(options, torch.get_num_threads(), {"torch": str(torch.__version__)}, (events, parts))
        saved = CheckpointFile(folder, made_of, options.resume)
        if options.resume:
            words, complete = saved.told()
            say(words)
            if complete and (left := _left(folder)):
                return left
        for note in (*events.notes, *kind.notes):
            say(note)
        took.note("read")

        chosen = choose.kept(folder, made_of) if options.resume else None
        chosen = chosen or choose.choose(kind, options.seed, say)
        choose.keep(folder, chosen, made_of)
        took.note("choose")

        torch.manual_seed(options.seed)
        task = kind.task(chosen.config, trial=False)
        recipe = kind.recipe(chosen.config)
        recipe = replace(recipe, seconds=max(1.0, recipe.seconds - took.seconds["read"] - chosen.seconds))
        journal = Journal(folder, options.tensorboard, report)
        outcome = trainer.train(task, recipe, journal.write, checkpointer=saved, within=within)
        journal.close()
        config, weights = kind.finish(task)
        point = Checkpoint(
            config=config,
            facts=kind.facts,
            training=_window(events, parts),
            metrics={},
            options={name: str(v) if isinstance(v, Path) else v for name, v in asdict(options).items()},
        )
        checkpoint.save(folder, point, weights)
        took.note("train")

        model, apart = _built(point, weights)
        _sign(model, point, apart, folder / MODEL)
        took.note("export")
        found = evaluate(folder / MODEL, events, parts, options.ar_order, options.seed)
        point.metrics = summary(found.scores)
        checkpoint.save(folder, point, weights)
        signature = _sign(model, point, apart, folder / MODEL)
        took.note("score")
        metrics: Scores = {
            **found.scores,
            "model": facts(signature),
            "choices": [msgspec.to_builtins(choice) for choice in chosen.choices],
            "notes": [*events.notes, *kind.notes],
            "split": {"valid_from": parts.valid, "test_from": parts.test},
            "training": asdict(outcome),
            "parity": signature.parity,
            "seconds": {**took.seconds, "all": took.all},
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


def _split(events: Events, options: TrainOptions) -> Split:
    return split(
        events,
        options.train_share,
        options.valid_share,
        valid_from=options.valid_from,
        test_from=options.test_from,
        hold_out_streams=options.hold_out_streams,
        whole_sequences=options.what == "class" and what_is_labelled(events, options.per) == "sequence",
        seed=options.seed,
    )


def _left(folder: Path) -> RunResult | None:
    """A run that is over, as it stands in its folder; None where something is missing or cannot be read."""
    if not all((folder / name).exists() for name in LEFT):
        return None
    try:
        metrics: Scores = msgspec.json.decode((folder / METRICS).read_bytes(), type=dict[str, Any])
        told = verdict(metrics)
        _, signature = load(folder / MODEL)
        checkpoint.load(folder)
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError, ModelFileError, TrainingError):
        return None
    return RunResult(folder, folder / MODEL, signature, metrics, told)


def _export(point: Checkpoint, weights: Weights, path: Path) -> Signature:
    model, apart = _built(point, weights)
    return _sign(model, point, apart, path)


def _built(point: Checkpoint, weights: Weights) -> tuple[ModelProto, float | None]:
    """The graph, and how far it is from the PyTorch module. Raises parity.ParityError."""
    model = build(point.config, weights)
    return model, parity.check(model, point.config, weights, reference(point.config, weights))


def _sign(model: ModelProto, point: Checkpoint, apart: float | None, path: Path) -> Signature:
    told: dict[str, Any] = {"training": point.training, "metrics": point.metrics, "parity": apart}
    signature = sign(point.config, **point.facts, **told, package=f"statecast {_version()}")
    save(model, signature, path)
    return signature


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


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Nobody else trains into this folder meanwhile; the lock ends with the process, however that ends."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise TrainingError(f"--out {folder}: another training writes into it; wait for it, or give another") from None
    finally:
        os.close(descriptor)


def _version() -> str:
    try:
        return version("statecast")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unknown"
