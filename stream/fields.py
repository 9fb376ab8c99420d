"""Where the fields of an event are found in a message: by name at its top, or by a path into it. Pure.

A path's parts are the names of objects within objects, with dots between them; `\\.` is a dot of a name. Lists are not
looked into. A field that is not told of lies at the top, under its own name.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from operator import attrgetter
from typing import Any

import msgspec

from stream.errors import UsageError

TIME = "ts"
_DOT = re.compile(r"(?<!\\)\.")
DEEPEST = 64  # objects within objects


def parts(path: str) -> tuple[str, ...]:
    """Of a path. Raises ValueError where one of them is empty."""
    found = tuple(part.replace("\\.", ".") for part in _DOT.split(path))
    if not all(found):
        raise ValueError(f"must be NAME=PATH with names between the dots of the path, not {path!r}")
    if len(found) > DEEPEST:
        raise ValueError(f"must be NAME=PATH with a path of at most {DEEPEST} names, not of {len(found)}")
    return found


def pairs(told: Iterable[str]) -> dict[str, str]:
    """Of NAME=PATH. Raises ValueError."""
    found: dict[str, str] = {}
    for text in told:
        name, equals, path = text.partition("=")
        if not (name and equals):
            raise ValueError(f"must be NAME=PATH, e.g. value=payload.temp, not {text!r}")
        if name in found:
            raise ValueError(f"names {name} twice; give one path for it")
        found[name] = path
    return found


def check(told: Mapping[str, str], features: Sequence[str]) -> None:
    """Raises UsageError where a model with these features cannot be fed so."""
    for name, path in told.items():
        if name not in (*features, TIME):
            raise UsageError(
                f"--field {name}={path}: the model has no such feature; an event has {', '.join(features)} and {TIME}"
            )
    for one, other in combinations((*features, TIME), 2):
        shorter, longer = sorted((_place(told, one), _place(told, other)), key=len)
        if longer[: len(shorter)] == shorter and (one in told or other in told):
            name = one if one in told else other
            raise UsageError(
                f"--field {name}={told[name]}: {one} and {other} would lie in one place; give each its own"
            )


def _place(told: Mapping[str, str], name: str) -> tuple[str, ...]:
    return parts(told[name]) if name in told else (name,)


def event_type(features: Sequence[str], kind: Any, told: Mapping[str, str]) -> tuple[type, Callable[[Any], Any] | None]:
    """A type for messages, and what makes an event of one: an object with f0, f1, ... and ts. None: it is one already.

    kind: of a feature's value. Feature names need not be identifiers, so the fields are numbered and renamed.
    """
    names = [*(f"f{i}" for i in range(len(features))), TIME]
    places = dict(zip(names, [_place(told, name) for name in (*features, TIME)], strict=True))
    kinds: dict[str, tuple[Any, ...]] = dict.fromkeys(names[:-1], (kind,)) | {TIME: (int | str | None, None)}
    flat = [(name, *kinds[name]) for name in names]
    if all(len(place) == 1 for place in places.values()):
        return msgspec.defstruct("Event", flat, rename={n: place[0] for n, place in places.items()}, gc=False), None
    event = msgspec.defstruct("Event", flat, gc=False)
    message, ways = _struct(places, kinds)
    deep = attrgetter(*(ways[name] for name in names[:-1]))
    several, steps = len(features) > 1, ways[TIME].split(".")

    def made(told: Any) -> Any:
        time = told
        for step in steps:
            time = None if time is None else getattr(time, step)
        return event(*deep(told), time) if several else event(deep(told), time)

    return message, made


def _struct(places: Mapping[str, tuple[str, ...]], kinds: Mapping[str, tuple[Any, ...]]) -> tuple[type, dict[str, str]]:
    """A type for an object that holds these fields at these places, and the attributes that lead to each."""
    fields: list[Any] = []
    rename: dict[str, str] = {}
    ways: dict[str, str] = {}
    within: dict[str, dict[str, tuple[str, ...]]] = {}
    for name, (first, *rest) in places.items():
        if rest:
            within.setdefault(first, {})[name] = tuple(rest)
        else:
            fields.append((name, *kinds[name]))
            rename[name] = first
            ways[name] = name
    for i, (first, inner) in enumerate(within.items()):
        struct, deeper = _struct(inner, kinds)
        # Where only the time lies there it may be missing, as the time may.
        fields.append((f"n{i}", struct | None, None) if set(inner) == {TIME} else (f"n{i}", struct))
        rename[f"n{i}"] = first
        ways |= {name: f"n{i}.{way}" for name, way in deeper.items()}
    return msgspec.defstruct("Part", fields, rename=rename, gc=False, kw_only=True), ways
