"""From the answers of one or several workers to what stands in an answer over HTTP. Pure."""

import math
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, NoReturn, TypeVar
from urllib.parse import quote

import msgspec

from stream import inquiries as asked
from stream.http import shapes
from stream.http.problem import Problem

T = TypeVar("T", asked.Found, asked.Listed, asked.Forecasted, asked.Placed, asked.Followed, asked.Described)

SECONDS = 600  # of history, at most
DEEP = 32  # levels of somebody else's data that are shown
SAYS = shapes.Says.__struct_fields__


def of_kind(answers: Sequence[asked.Answer], kind: type[T]) -> list[T]:
    """Those that answer. Raises Problem where none does."""
    found = [answer for answer in answers if isinstance(answer, kind)]
    if found:
        return found
    raise_wrong(answers)
    raise Problem(503, "no answer in time; ask again, and see /healthz", {"Retry-After": "1"})


def raise_wrong(answers: Sequence[asked.Answer]) -> None:
    """Where somebody says why there is no answer, as a Problem."""
    for wrong in answers:
        if isinstance(wrong, asked.Wrong):
            raise Problem(wrong.status, wrong.message)


def name(key: bytes) -> tuple[str, str]:
    """A key as text, and as a URL has it."""
    return key.decode(errors="replace"), quote(key, safe="")


def _absent(key: bytes, answers: Sequence[asked.Answer], workers: int) -> NoReturn:
    """Nobody has such a stream: why, as a Problem."""
    raise_wrong(answers)
    _, shown = name(key)
    told = [answer for answer in answers if isinstance(answer, asked.Found | asked.Forecasted | asked.Placed)]
    if len(told) < workers:  # with another partitioner than murmur2 it need not be where its home is
        raise Problem(503, f'a worker that may have "{shown}" gave no answer in time; ask again', {"Retry-After": "1"})
    if any(answer.here for answer in told):
        raise Problem(404, f'there is no stream "{shown}"; GET /v1/streams lists them')
    home = told[0].home
    raise Problem(
        421,
        f'"{shown}" belongs to partition {home}, which is not live here; ask the instance that has it',
        partition=home,
    )


def detail(key: bytes, answers: Sequence[asked.Answer], workers: int, model: str) -> shapes.Detail:
    """The stream of this key: of several the one in the partition where murmur2 places it. Raises Problem."""
    founds = of_kind(answers, asked.Found)
    each = [one for found in founds for one in zip(found.streams, found.said, found.events, strict=True)]
    if not each:
        _absent(key, answers, workers)
    each.sort(key=lambda one: (one[0].partition != founds[0].home, one[0].partition))
    first, *others = [_placed(stream, said, event, model) for stream, said, event in each]
    whole = shapes.Detail(**msgspec.structs.asdict(first))
    if others:
        whole.elsewhere = others
    return whole


def _placed(stream: asked.Stream, said: dict[str, Any], event: Any, model: str) -> shapes.Placed:
    return shapes.Placed(**_stream(stream), event=plain(event), model=model, **_says(said))


def _stream(stream: asked.Stream) -> dict[str, Any]:
    key, path = name(stream.key)
    where = {field: getattr(stream, field) for field in ("partition", "step", "offset", "ts", "surprise")}
    return {"key": key, "path": path, **where, **({"step": 0, "frozen": True} if stream.frozen else {})}


def listed(inquiry: asked.Browse, answers: Sequence[asked.Answer]) -> shapes.Streams:
    """Raises Problem."""
    lists = of_kind(answers, asked.Listed)
    streams = [stream for part in lists for stream in part.streams]
    if inquiry.order == "key":
        streams.sort(key=attrgetter("key", "partition"))
    elif inquiry.order == "recent":
        streams.sort(key=attrgetter("ts"), reverse=True)
    else:
        streams.sort(key=lambda s: -math.inf if s.surprise is None else s.surprise, reverse=True)
    shown = [shapes.Stream(**_stream(stream)) for stream in streams[: inquiry.limit]]
    return shapes.Streams(shown, any(part.more for part in lists) or len(streams) > len(shown))


def forecast(key: bytes, answers: Sequence[asked.Answer], workers: int) -> shapes.Forecast:
    """Raises Problem."""
    made = of_kind(answers, asked.Forecasted)
    each = [one for part in made for one in zip(part.streams, part.steps, strict=True)]
    if not each:
        _absent(key, answers, workers)
    stream, steps = min(each, key=lambda one: (one[0].partition != made[0].home, one[0].partition))
    known = (*SAYS, "quantiles")
    ahead = [
        shapes.Ahead(step=number, **{field: plain(value) for field, value in step.items() if field in known})
        for number, step in enumerate(steps, 1)
    ]
    return shapes.Forecast(*name(key), stream.partition, stream.offset, ahead)


def reset(key: bytes, answers: Sequence[asked.Answer], workers: int) -> shapes.Reset:
    """Raises Problem."""
    done = of_kind(answers, asked.Placed)
    placed = {str(partition): offset for part in done for partition, offset in part.placed.items()}
    if not placed:
        _absent(key, answers, workers)
    return shapes.Reset(*name(key), placed)


def event(one: asked.Event) -> shapes.Event:
    expected = None if one.expected is None else shapes.Says(**_says(one.expected))
    return shapes.Event(
        partition=one.partition,
        offset=one.offset,
        ts=one.ts,
        step=one.step,
        actual=plain(one.actual),
        expected=expected,
        surprise=one.surprise,
        **_says(one.prediction),
    )


def _says(said: dict[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in said.items() if field in SAYS}


def partitions(answers: Sequence[asked.Overlooked]) -> list[shapes.Partition]:
    found = [
        shapes.Partition(one.partition, answer.worker, one.phase, one.position, one.lag, one.progress, one.message)
        for answer in answers
        for one in answer.partitions
    ]
    return sorted(found, key=attrgetter("partition"))


def seconds(answers: Iterable[asked.Overlooked]) -> list[shapes.Second]:
    """Of all workers together. A latency is the mean of theirs, weighted by their events; the worst is the worst."""
    by_time: dict[int, list[asked.Second]] = {}
    for answer in answers:
        for second in answer.seconds:
            by_time.setdefault(second.at // 1000 * 1000, []).append(second)
    return [_together(at, by_time[at]) for at in sorted(by_time)[-SECONDS:]]


def _together(at: int, parts: Sequence[asked.Second]) -> shapes.Second:
    told = [(part.latency, max(1, part.events)) for part in parts if part.latency is not None]
    worst = [part.latency_worst for part in parts if part.latency_worst is not None]
    return shapes.Second(
        at,
        sum(part.events for part in parts),
        sum(part.predictions for part in parts),
        sum(part.dead_letters for part in parts),
        sum(latency * events for latency, events in told) / sum(events for _, events in told) if told else None,
        max(worst, default=None),
    )


def plain(value: Any, deep: int = DEEP) -> Any:
    """Somebody else's data, of whatever codec, as JSON can have it: what has no place there becomes text, or null."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()  # half of a surrogate pair is no UTF-8
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, bool | int | float) or value is None:
        return value
    if deep == 0:
        return None
    if isinstance(value, dict):
        return {str(plain(key, 0)): plain(inner, deep - 1) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner, deep - 1) for inner in value]
    return plain(str(value))
