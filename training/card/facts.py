"""What metrics.json says of the model beside its scores, for the card. Knows the signature."""

from typing import Any

from export.signature import Signature


def facts(signature: Signature) -> dict[str, Any]:
    """The key `model` of metrics.json."""
    training = signature.training
    found: dict[str, Any] = {
        "cell": signature.cell,
        "layers": signature.layers,
        "hidden": signature.hidden,
        "features": list(signature.features),
        "targets": list(signature.targets),
        "calendar": list(signature.calendar),
        "since_last": signature.since_last,
        "training": {
            "events": training.events,
            "streams": training.streams,
            "first": training.first,
            "last": training.last,
        },
        "parity": signature.parity,
        "package": signature.package,
    }
    if signature.task != "symbol":
        found["scaling"] = signature.scaling
    if signature.task == "number":
        found |= {"head": signature.head, "lags": list(signature.lags), "levels": list(signature.levels)}
    if signature.task == "symbol":
        found |= {"symbols": len(signature.symbols), "text": signature.text}
    if signature.task == "class":
        found |= {"classes": list(signature.classes), "per": signature.per}
    return found
