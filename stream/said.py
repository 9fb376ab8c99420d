"""A prediction as an output message has it, as plain data. Knows no streams, no records."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from engine.columns import Floats
from export.signature import Signature
from stream.chances import TOP, likeliest


def prediction(signature: Signature, predicted: Floats) -> dict[str, Any]:
    """What is predicted of one event, [*signature.output_shape]."""
    if signature.task == "number":
        median = signature.levels.index(0.5)
        return {
            name: by_target(signature, predicted[:, level])
            for name, level in (("prediction", median), ("lower", 0), ("upper", -1))
        }
    names = signature.symbols or signature.classes
    chance = predicted[0]
    told: dict[str, Any] = {"prediction": names[int(chance.argmax())]}
    if signature.task == "symbol":
        place = likeliest(chance[None], TOP)[0]
        told["top"] = [[names[i], value] for i, value in zip(place.tolist(), plain(chance[place]), strict=True)]
    else:
        told["probabilities"] = dict(zip(names, plain(chance), strict=True))
    return told


def forecast(signature: Signature, predicted: Floats) -> dict[str, Any]:
    """The same, and of numbers each quantile by its probability."""
    told = prediction(signature, predicted)
    if signature.task == "number":
        levels = [f"{level:g}" for level in signature.levels]
        each = [dict(zip(levels, plain(quantiles), strict=True)) for quantiles in predicted]
        told["quantiles"] = each[0] if len(each) == 1 else dict(zip(signature.targets, each, strict=True))
    return told


def by_target(signature: Signature, values: Floats) -> Any:
    """[targets]: the number of the one target, or each by its name; NaN is None."""
    numbers = plain(values)
    return numbers[0] if len(numbers) == 1 else dict(zip(signature.targets, numbers, strict=True))


def event(signature: Signature, x: Floats, mask: Floats) -> dict[str, Any]:
    """What an event says of each feature, x and mask [columns]; None where the value is missing."""
    numbers: Sequence[Any] = plain(np.where(mask > 0, x, np.nan)[: len(signature.features)])
    if signature.task == "symbol":
        numbers = [None if number is None else signature.symbols[int(number)] for number in numbers]
    return dict(zip(signature.features, numbers, strict=True))


def plain(values: NDArray[Any]) -> list[Any]:
    """Each as the shortest decimal that reads back as the same float32; NaN is None."""
    told: list[Any] = orjson.loads(
        orjson.dumps(np.ascontiguousarray(values, np.float32), option=orjson.OPT_SERIALIZE_NUMPY)
    )
    return told
