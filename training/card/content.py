"""What the card says, as blocks that a page or a text can be made of. Knows metrics.json, nothing of either.

Every figure here is one of metrics.json.
"""

from dataclasses import dataclass, field

from training.card import tables
from training.card.names import NAMES, Metrics, figure, listed, percent
from training.card.tables import Table

CELLS = {"lstm": "LSTM", "graves-lstm": "LSTM with peepholes", "gru": "GRU", "rnn": "plain recurrent"}
ENDS = {
    "patience": "no better validation score came",
    "time": "the time budget was over",
    "epochs": "all were done",
    "invalid": "the loss was no number",
}


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it, in this order."""

    title: str
    paragraphs: list[str]
    items: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    pictures: bool = False  # whether the pictures come here


def sections(metrics: Metrics) -> list[Section]:
    """All of the card below its first line."""
    found = [
        Section("Scores on the test part", _scored(metrics), tables=tables.scores(metrics)),
        Section("Pictures", [], pictures=True),
        Section("What it is", _what(metrics)),
        Section("How it was trained", _trained(metrics), tables=tables.choices(metrics)),
        Section("The baselines", [], items=_rivals(metrics)),
    ]
    if metrics["notes"]:
        found.append(Section("What the data was like", [], items=metrics["notes"]))
    found.append(Section("By stream", tables.which_streams(metrics), tables=tables.streams(metrics)))
    return [section for section in found if section.paragraphs or section.items or section.tables or section.pictures]


def _scored(metrics: Metrics) -> list[str]:
    total = metrics["all"]
    what = {"number": "values", "symbol": "symbols", "class": "labels"}[metrics["task"]]
    streams = f"{figure(total['streams'])} stream{'s' if total['streams'] != 1 else ''}"
    first = (
        f"{figure(total['events'])} {what} of {streams}, none of which was seen in training or validation. The "
        "exported file was run over all events with carried state, as it is served; all rivals are scored on the "
        "same ones."
    )
    if metrics["task"] == "number":
        second = (
            "MASE is the absolute error in units of the training part's one-step naive error, per stream, then the "
            f"mean over the {figure(total['scaled'])} that have one. Quantile loss is weighted by the values' size; a "
            "baseline's point is taken for all its quantiles. Within: the share of values "
            "inside the central interval of so much. Beaten: the streams in which the model's errors are smaller."
        )
        if total["refused"]:
            second += f" {figure(total['refused'])} events were refused by the network: the prediction before stands."
        return [first, second]
    if metrics["task"] == "symbol":
        return [first, f"{figure(total['unknown'])} of them are not in the vocabulary and count as one symbol."]
    return [first]


def _what(metrics: Metrics) -> list[str]:
    model = metrics["model"]
    layers = f"{model['layers']} layer{'s' if model['layers'] != 1 else ''} of {model['hidden']} units"
    seen = ", ".join(model["features"])
    network = f"A network of {layers} ({CELLS[model['cell']]}) that"
    if metrics["task"] == "symbol":
        found = [f"{network} predicts a stream's next symbol, one of {figure(model['symbols'])}."]
    elif metrics["task"] == "class":
        found = [f"{network} tells the class of each {model['per']} from {seen}: {', '.join(model['classes'])}."]
    else:
        levels = ", ".join(f"{level:g}" for level in model["levels"])
        lags = ", ".join(map(str, model["lags"])) or "none"
        found = [
            f"{network} predicts {', '.join(model['targets'])} of a stream's next event from {seen}, with the "
            f"quantiles {levels} (head: {model['head']}). Lags: {lags}."
        ]
    if metrics["task"] != "symbol":
        found.append(f"Scaling: {'fixed' if model['scaling'] == 'fixed' else 'by each stream itself'}.")
    clock = [f"the {cycle}" for cycle in model["calendar"]] + ["the time since the last event"] * model["since_last"]
    if clock:
        found.append(f"It also sees {listed(clock)}.")
    if model["parity"] is not None:
        unit = "scales" if metrics["task"] == "number" else "in probability"
        found.append(f"Exported file against PyTorch: at most {model['parity']:.1e} {unit} apart.")
    return [" ".join(found)]


def _trained(metrics: Metrics) -> list[str]:
    training, how = metrics["model"]["training"], metrics["training"]
    when = f", {training['first']} to {training['last']}" if training["first"] else ""
    found = [f"Fitted on {figure(training['events'])} events of {figure(training['streams'])} streams{when}."]
    ended = ENDS.get(how["stopped"], how["message"])
    found.append(
        f"Training ended after {how['epochs']} epochs because {ended}; kept is epoch {how['best_epoch']}. It took "
        f"{metrics['seconds']['train']:.0f} s."
    )
    text = [" ".join(found)]
    text += [f"Chosen: {choice['name']}. {choice['why']}".strip() for choice in metrics["choices"] if choice["chosen"]]
    return text


def _rivals(metrics: Metrics) -> list[str]:
    """What each of them is, so that somebody could do it again."""
    chosen = metrics["baselines"]
    if metrics["task"] == "number":
        found = chosen["season"]
        season = "no season was found, so it is persistence" if found == 1 else f"the value {found} events before"
        lags = ", ".join(map(str, chosen["ar_lags"]))
        told = {
            "persistence": "the value before.",
            "seasonal": f"{season}; by the autocorrelation of the training part.",
            "ar": f"each stream by itself, with a constant, least squares on its training part; lags {lags}. So many "
            f"streams have one: {figure(chosen['ar_streams'])}; where the training part is too short, the longest lags "
            "are left out, or persistence stands in.",
            "mlp": f"one hidden layer over the last {chosen['mlp_window']} values, all streams together, stopped by "
            "the validation part.",
        }
    elif metrics["task"] == "symbol":
        told = {
            "unigram": "each symbol's share of the training part.",
            "ngram": f"interpolated Kneser-Ney of order {chosen['ngram_order']}, which is the best of orders one to "
            "five on the validation part.",
        }
    else:
        told = {
            "majority": f"{metrics['all']['majority']['class']}, whatever comes.",
            "logistic": "on each stream's values so far: first, last, least and greatest value, mean, deviation, mean "
            "change and slope; held back as much as is best on the validation part.",
        }
    return [f"{_begun(NAMES[name].removeprefix('the '))}: {text}" for name, text in told.items()]


def _begun(text: str) -> str:
    return text[0].upper() + text[1:]


def tiles(metrics: Metrics) -> list[tuple[str, str]]:
    """The figures that a reader looks for first, and what they are."""
    total = metrics["all"]
    if not total["events"]:
        return []
    model = total["model"]
    if metrics["task"] == "symbol":
        return [
            (figure(model["nats"]), "nats a symbol"),
            (figure(model["perplexity"]), "perplexity"),
            (percent(model["accuracy"]), "symbols guessed"),
            (figure(total["events"]), "symbols scored"),
        ]
    if metrics["task"] == "class":
        return [
            (percent(model["accuracy"]), "accuracy"),
            (percent(total["majority"]["accuracy"]), "are of the commonest class"),
            (figure(total["events"]), "scored"),
        ]
    shares = [name for name in model if name.startswith("coverage_")]
    return [
        (figure(model["mase"]), "MASE"),
        (figure(model["mae"]), "MAE, in the data's unit"),
        *((percent(model[name]), f"lie in the {name.removeprefix('coverage_')} % interval") for name in shares[:1]),
        (figure(total["events"]), "values scored"),
    ]
