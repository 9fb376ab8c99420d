"""The card's tables. Knows metrics.json, nothing of how a table is shown."""

from dataclasses import dataclass

from training.card.names import NAMES, TITLES, Metrics, figure, percent, rivals
from training.card.verdict import shown
from training.scores.evaluate import JUDGED

ROWS = 40  # streams that the card lists; metrics.json has all


@dataclass(frozen=True)
class Table:
    """Cells are plain text; the first column names the row."""

    header: list[str]
    rows: list[list[str]]
    title: str = ""


def scores(metrics: Metrics) -> list[Table]:
    """The model against its rivals, over all streams; of classes also the recall of each and the confusion matrix."""
    total = metrics["all"]
    if not total["events"]:
        return []
    measures = {
        "number": ["mase", "mae", "rmse", "wql"],
        "symbol": ["nats", "bits", "perplexity"],
        "class": ["accuracy"],
    }[metrics["task"]]
    shares = sorted((name for name in total["model"] if name.startswith("coverage_")), reverse=True)
    header = ["", *(TITLES.get(measure, measure) for measure in measures)]
    header += [f"within {share.removeprefix('coverage_')} %" for share in shares]
    header += ["beaten"] if metrics["task"] == "number" else []
    rows = []
    for name in ("model", *rivals(metrics)):
        own = total[name]
        row = [NAMES[name].removeprefix("the "), *(shown(own[measure], measure) for measure in measures)]
        row += [percent(own[share]) if share in own else "" for share in shares]
        row += [figure(own["beaten"]) if "beaten" in own else ""] if metrics["task"] == "number" else []
        rows.append(row)
    found = [Table(header, rows)]
    return found + _classes(metrics) if metrics["task"] == "class" else found


def _classes(metrics: Metrics) -> list[Table]:
    total = metrics["all"]
    names = total["classes"]
    recall = [
        [name, *(percent(total[rival]["recall"][name]) for rival in ("model", *rivals(metrics)))] for name in names
    ]
    header = ["class", *(NAMES[rival].removeprefix("the ") for rival in ("model", *rivals(metrics)))]
    counts = [[name, *map(figure, row)] for name, row in zip(names, total["confusion"], strict=True)]
    return [
        Table(header, recall, "Recall: the share of each class that was found"),
        Table(["it was \\ the model said", *names], counts, "Confusion matrix"),
    ]


def choices(metrics: Metrics) -> list[Table]:
    """The structures that were tried, the best first."""
    tried = sorted(metrics["choices"], key=lambda choice: choice["valid_loss"])
    if not tried:
        return []
    rows = [[c["name"], figure(float(c["valid_loss"])), "yes" if c["chosen"] else ""] for c in tried]
    return [Table(["structure", "validation loss", "chosen"], rows, "Structures tried")]


def which_streams(metrics: Metrics) -> list[str]:
    """What the table of streams leaves out."""
    count = len(metrics["streams"])
    if count <= ROWS:
        return []
    return [f"Of {figure(count)} streams, those where the model is best and worst; metrics.json has all."]


def streams(metrics: Metrics) -> list[Table]:
    """Each stream's score by which the task is judged; of many streams the best and the worst ones."""
    measure = JUDGED[metrics["task"]]
    found = list(metrics["streams"].items())
    if len(found) < 2 or (metrics["task"] == "class" and metrics["baselines"]["per"] == "sequence"):
        return []
    if len(found) > ROWS:
        sign = -1 if measure == "accuracy" else 1
        told = [pair for pair in found if pair[1]["model"][measure] is not None]
        told.sort(key=lambda pair: sign * pair[1]["model"][measure])
        found = [*told[: ROWS // 2], *told[-(ROWS // 2) :]] if len(told) > ROWS else told
    names = rivals(metrics)
    share = next((name for name in metrics["all"]["model"] if name.startswith("coverage_")), None)
    header = ["stream", "events", f"model's {TITLES[measure]}", *(NAMES[name].removeprefix("the ") for name in names)]
    header += [f"within {share.removeprefix('coverage_')} %"] if share else []
    rows = []
    for name, own in found:
        row = [name, figure(own["events"]), *(shown(own[rival][measure], measure) for rival in ("model", *names))]
        rows.append(row + ([percent(own["model"][share])] if share else []))
    return [Table(header, rows)]


def printed(metrics: Metrics) -> str:
    """The first table as text in columns, for a terminal."""
    found = scores(metrics)
    if not found:
        return ""
    lines = [found[0].header, *found[0].rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
