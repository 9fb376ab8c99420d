"""The training step: `statecast train` on the data's first part, and what it says of what it has learned."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import RenderableType

from demo.children import Child, started
from demo.result import Learned
from demo.screen import Screen, bar
from demo.weather import Events
from demo.workspace import Workspace
from export.signature import Signature, fingerprint, load
from training.data import read_events
from training.splits import cut_times

TRAINED, VALIDATED = 0.7, 0.1  # shares of the events in time order; the rest is scored


@dataclass(frozen=True)
class Model:
    """What the report tells of the model."""

    curve: list[Learned]
    trained: str  # on what, and how it went
    told: str  # what the file says of itself


def boundaries(data: Path) -> tuple[int, int]:
    """Where training ends and where the scored part begins, as `statecast train` cuts; epoch milliseconds."""
    return cut_times(read_events([data], "key", ["value"], "time"), TRAINED, VALIDATED)


def learn(events: Events, workspace: Workspace, seconds: float, screen: Screen) -> Model:
    """Train and export. Raises StepFailed where that fails; parity is checked by the export itself."""
    screen.head(f"statecast train: an LSTM on the first {TRAINED:.0%} of the time, at most {seconds:g} s")
    arguments = ["train", str(workspace.data), "--key", "key", "--value", "value", "--time", "time"]
    arguments += ["--out", str(workspace.run), "--budget", f"{seconds / 60:g}"]
    arguments += ["--train-share", str(TRAINED), "--valid-share", str(VALIDATED)]
    metrics = workspace.run / "metrics.jsonl"
    began = time.monotonic()
    with started("statecast train", arguments, workspace.log("train")) as child:
        _follow(child, metrics, seconds, screen)
    curve = read_curve(metrics)
    model, signature = load(workspace.model)
    trained = f"{len(curve)} passes, {time.monotonic() - began:.0f} s with loading, evaluation and export"
    screen.say(f"{trained}; the exported file differs from PyTorch by at most {signature.parity or 0:.0e}")
    return Model(
        curve, f"first {TRAINED:.0%} of {len(events):,} events: {trained}", _told(signature, fingerprint(model))
    )


def _follow(child: Child, metrics: Path, seconds: float, screen: Screen) -> None:
    began = time.monotonic()

    def words() -> str:
        curve = read_curve(metrics)
        if not curve:
            return "loading"
        best = min(point.validation for point in curve)
        return f"pass {len(curve)}, loss {curve[-1].loss:.4f}, validation {curve[-1].validation:.4f} (best {best:.4f})"

    def picture() -> RenderableType:
        return bar(time.monotonic() - began, seconds, words())

    with screen.live(words, picture) as tick:
        child.finish(tick)


def read_curve(metrics: Path) -> list[Learned]:
    """The lines of metrics.jsonl that are complete; none before the first pass is over."""
    try:
        lines = metrics.read_text().split("\n")[:-1]
    except FileNotFoundError:
        return []
    passes = [json.loads(line) for line in lines]
    return [Learned(p["seconds"], p["train_loss"], p["valid_loss"]) for p in passes if "train_loss" in p]


def _told(signature: Signature, mark: str) -> str:
    lags = f", its own last {len(signature.lags)} values beside" if signature.lags else ""
    return (
        f"{signature.cell.upper()}, {signature.layers} layer{'s' * (signature.layers > 1)} of {signature.hidden} units"
        f"{lags}; {signature.row_width * 4:,} bytes of state per stream; file {mark[:8]}"
    )
