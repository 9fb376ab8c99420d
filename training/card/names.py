"""What the card calls things, and which way is better. Knows the keys of metrics.json."""

from typing import Any

from training.scores.evaluate import JUDGED, RIVALS

Metrics = dict[str, Any]

NAMES = {
    "model": "the model",
    "persistence": "persistence",
    "seasonal": "the seasonal naive forecast",
    "ar": "the linear autoregression",
    "mlp": "the window MLP",
    "unigram": "the unigram",
    "ngram": "the n-gram",
    "majority": "the commonest class",
    "logistic": "the logistic regression",
}
LOSSES = {"number": "loss, in scales", "symbol": "nats a symbol", "class": "cross-entropy, nats"}
TITLES = {"mae": "MAE", "rmse": "RMSE", "mase": "MASE", "wql": "quantile loss", "nats": "nats", "accuracy": "accuracy"}


def rivals(metrics: Metrics) -> tuple[str, ...]:
    """The baselines of the task."""
    return RIVALS[metrics["task"]]


def no_worse(metrics: Metrics, measure: str) -> list[str]:
    """The baselines that the model does not beat, the best first."""
    total, sign = metrics["all"], -1 if measure == "accuracy" else 1
    found = [name for name in rivals(metrics) if sign * total[name][measure] <= sign * total["model"][measure]]
    return sorted(found, key=lambda name: sign * total[name][measure])


def best_rival(metrics: Metrics) -> str:
    """The baseline with the best score by which the task is judged."""
    measure = JUDGED[metrics["task"]]
    sign = -1 if measure == "accuracy" else 1
    return min(rivals(metrics), key=lambda name: sign * metrics["all"][name][measure])


def figure(value: float | None) -> str:
    """Four digits; a whole number as it is."""
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def percent(value: float | None) -> str:
    """A share."""
    return "-" if value is None else f"{value:.1%}"


def listed(names: list[str]) -> str:
    """a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
