"""The card's first line: does the model beat the baselines? Knows metrics.json."""

from training.card.names import NAMES, TITLES, Metrics, best_rival, figure, listed, no_worse, percent, rivals
from training.scores.evaluate import JUDGED


def verdict(metrics: Metrics) -> str:
    """One line that names each baseline that the model does not beat.

    Numbers are judged by MASE, and by MAE where that says otherwise; symbols by nats, classes by accuracy.
    """
    total, measure = metrics["all"], JUDGED[metrics["task"]]
    if not total["events"]:
        return "Nothing was scored: the test part has no value that has a past."
    if total["model"][measure] is None:
        return "There is no scaled error: no stream changes in its training part and has values in the test part."
    first = _by(metrics, measure)
    if metrics["task"] == "number":
        more = [name for name in no_worse(metrics, "mae") if name not in no_worse(metrics, "mase")]
        if more:
            first += (
                f" In MAE it does not beat {_told(metrics, more, 'mae')}: its own is {figure(total['model']['mae'])}."
            )
    return first


def _by(metrics: Metrics, measure: str) -> str:
    total, lost = metrics["all"], no_worse(metrics, measure)
    own = shown(total["model"][measure], measure)
    won = [NAMES[name] for name in rivals(metrics) if name not in lost]
    if lost:
        rest = f"; it beats {listed(won)}" if won else ""
        told = _told(metrics, lost, measure)
        return f"On the test part the model does not beat {told}: its own {TITLES[measure]} is {own}{rest}."
    best = best_rival(metrics)
    against = f"{TITLES[measure]} {own} against {shown(total[best][measure], measure)}"
    if len(won) > 1:
        against += f" of the best of them, {NAMES[best]}"
    return f"On the test part the model beats {listed(won)}: {against}."


def _told(metrics: Metrics, names: list[str], measure: str) -> str:
    total = metrics["all"]
    return listed([f"{NAMES[name]} ({TITLES[measure]} {shown(total[name][measure], measure)})" for name in names])


def shown(value: float | None, measure: str) -> str:
    """A figure as its measure is written."""
    share = measure == "accuracy" or measure.startswith("coverage")
    return percent(value) if share else figure(value)
