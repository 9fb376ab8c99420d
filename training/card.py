"""The model card: what was trained on what, and how good it is, with a learning curve. Knows figures only."""

import io
from pathlib import Path
from typing import Any

from export.file import write
from training.checkpoint import Checkpoint

ROWS = 40  # streams that the card lists; metrics.json has all
NAMES = {"model": "model", "persistence": "persistence", "ar": "linear autoregression"}

Figures = dict[str, Any]


def verdict(scores: Figures) -> str:
    """One sentence: does the model beat the baselines?"""
    total = scores["all"]
    mases = {name: total[name]["mase"] for name in NAMES}
    if any(mase is None for mase in mases.values()):
        return "There is no scaled error: no stream changes in its training part and has values in the test part."
    better = [NAMES[name] for name in ("persistence", "ar") if mases[name] <= mases["model"]]
    figures = ", ".join(f"{NAMES[name]} {mase:.4f}" for name, mase in mases.items())
    if better:
        return f"On the test part the model does not beat {' and '.join(better)} (MASE: {figures})."
    return f"On the test part the model beats persistence and the linear autoregression (MASE: {figures})."


def markdown(checkpoint: Checkpoint, scores: Figures, facts: Figures, name: str) -> str:
    """The card's text. facts: what metrics.json says beside the scores."""
    total, training = scores["all"], checkpoint.training
    config = checkpoint.config
    lines = [
        f"# Model card: {name}",
        "",
        verdict(scores),
        "",
        "## What it is",
        "",
        f"An LSTM of {config.layers} x {config.hidden} units that predicts {', '.join(config.targets)} of a stream's "
        f"next event from {', '.join(config.features)}, with the quantiles 5, 25, 50, 75 and 95 %.",
        f"Scaling: {config.scaling}. Lags: {', '.join(map(str, config.lags)) or 'none'}. "
        f"Linear paths to choose from: {config.experts if config.lags else 0}.",
        f"Trained on {training.events} events of {training.streams} streams"
        + (f", {training.first} to {training.last}." if training.first else "."),
        f"Training ended after {facts['training']['epochs']} epochs by {facts['training']['stopped']}; "
        f"kept is epoch {facts['training']['best_epoch']}. It took {facts['seconds']['train']:.0f} s.",
        f"Exported file against PyTorch: at most {facts['parity']:.1e} scales apart.",
        "",
        "![learning curve](curves.svg)",
        "",
        "## Scores on the test part",
        "",
        f"{total['events']} events of {total['streams']} streams, all later than any event of training and validation; "
        "the exported file was run over all events with carried state. MASE is the absolute error in units of the "
        "training part's one-step naive error, per stream, then the mean over streams.",
        "",
        "| | MAE | MASE | weighted quantile loss | coverage of the 90 % interval |",
        "|---|---|---|---|---|",
    ]
    for key, label in NAMES.items():
        s = total[key]
        more = f"{_figure(s['wql'])} | {s['coverage_90']:.1%}" if key == "model" else "| "
        lines.append(f"| {label} | {_figure(s['mae'])} | {_figure(s['mase'])} | {more} |")
    lines += ["", "## By stream", "", "| stream | events | model MASE | persistence | autoregression | coverage |"]
    lines.append("|---|---|---|---|---|---|")
    for stream, s in list(scores["streams"].items())[:ROWS]:
        mases = " | ".join(_figure(s[key]["mase"]) for key in NAMES)
        lines.append(f"| {stream} | {s['events']} | {mases} | {s['model']['coverage_90']:.1%} |")
    if len(scores["streams"]) > ROWS:
        lines += ["", f"... and {len(scores['streams']) - ROWS} more streams in metrics.json."]
    return "\n".join(lines) + "\n"


def curves(history: list[Figures], folder: Path) -> None:
    """Write curves.svg and curves.png: loss by epoch on the training and on the validation part."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "statecast"  # the same curve gives the same bytes
    from matplotlib import pyplot, ticker

    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    epochs = [row["epoch"] for row in history]
    axes.plot(epochs, [row["train_loss"] for row in history], marker="o", markersize=3, label="training part")
    axes.plot(epochs, [row["valid_loss"] for row in history], marker="o", markersize=3, label="validation part")
    axes.axvline(history[-1]["best_epoch"], color="grey", linestyle=":", label="kept")
    axes.set(xlabel="epoch", ylabel="quantile loss, in scales", title="Learning curve")
    axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend()
    for kind, metadata in (("svg", {"Date": None}), ("png", {})):
        content = io.BytesIO()
        figure.savefig(content, format=kind, dpi=120, metadata=metadata)
        write(folder / f"curves.{kind}", content.getvalue())
    pyplot.close(figure)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
