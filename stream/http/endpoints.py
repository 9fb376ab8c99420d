"""What can be asked over HTTP: each endpoint declared once, with what it takes, what it answers and how."""

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response

from stream import inquiries
from stream.http import shapes, told
from stream.http.asking import Asker
from stream.http.following import Followers
from stream.http.problem import told as answered
from stream.http.view import View


@dataclass(frozen=True)
class Service:
    """What the endpoints work with."""

    view: View
    asker: Asker
    followers: Followers
    stuck_after: float  # seconds


@dataclass(frozen=True)
class Asked:
    """A request that was found to be right."""

    key: bytes = b""
    query: Any = None  # as the endpoint declares it
    body: Any = None
    last_event_id: str = ""


OFFSET = re.compile("[0-9]{1,19}")
JSON, TEXT, EVENTS = "application/json", "text/plain", "text/event-stream"
Answers = Mapping[int, tuple[str, Any]]  # status -> what it means, and the shape of the JSON or the type of the text


@dataclass(frozen=True)
class Endpoint:
    method: str
    path: str
    summary: str
    run: Callable[[Service, Asked], Awaitable[Response]]
    answers: Answers
    query: type[shapes.Query] = shapes.Query
    body: Any = None
    open: bool = False  # to all, also without the token
    media: str = JSON  # of its own answers; problems are always JSON

    @property
    def segments(self) -> tuple[str, ...]:
        return tuple(self.path.removeprefix("/").split("/"))


PROBLEMS = {
    404: ("the stream is not known here, though its partition is here", shapes.Error),
    421: ("the key's partition is not live here", shapes.Error),
    503: ("no answer in time, or too many questions", shapes.Error),
}
BUSY = {503: PROBLEMS[503]}


async def healthz(service: Service, _: Asked) -> Response:
    beats = service.view.beats().items()
    stuck = [f"{who} has not come round for {still:.0f} s\n" for who, still in beats if still > service.stuck_after]
    return PlainTextResponse("".join(stuck), 503) if stuck else PlainTextResponse("ok\n")


async def readyz(service: Service, _: Asked) -> Response:
    if service.view.ready():
        return PlainTextResponse("ready\n")
    return PlainTextResponse("not every partition is live, or no broker answers\n", 503)


async def metrics(service: Service, _: Asked) -> Response:
    text = await run_in_threadpool(generate_latest, service.view.registry)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


async def model(service: Service, _: Asked) -> Response:
    described = await service.asker.model()
    return answered(shapes.Model(described.fingerprint, described.signature))


async def overview(service: Service, asked: Asked) -> Response:
    view = service.view
    answers = await service.asker.ask(inquiries.Overview(asked.query.since))
    found = [answer for answer in answers if isinstance(answer, inquiries.Overlooked)]
    return answered(
        shapes.Overview(
            now=int(time.time() * 1000),
            ready=view.ready(),
            model=await service.asker.model_name() if found else "",
            application_id=view.application_id,
            input_topic=view.input_topic,
            output_topic=view.output_topic,
            streams=sum(answer.streams for answer in found),
            bank_bytes=sum(answer.bank_bytes for answer in found),
            workers=view.workers,
            silent_workers=max(0, view.workers - len(found)),
            partitions=told.partitions(found),
            seconds=told.seconds(found),
        )
    )


async def browse(service: Service, asked: Asked) -> Response:
    query = asked.query
    inquiry = inquiries.Browse(query.prefix.encode("latin-1"), query.limit, query.order)
    return answered(told.listed(inquiry, await service.asker.ask(inquiry)))


async def _apart(make: Callable[[], Any]) -> Response:
    """An answer that may have megabytes is made on another thread: the health is told meanwhile. Raises Problem."""
    return await run_in_threadpool(lambda: answered(make()))


async def find(service: Service, asked: Asked) -> Response:
    answers = await service.asker.ask(inquiries.Find(asked.key))
    model = await service.asker.model_name()
    return await _apart(lambda: told.detail(asked.key, answers, service.view.workers, model))


async def forecast(service: Service, asked: Asked) -> Response:
    body = asked.body
    answers = await service.asker.ask(inquiries.Forecast(asked.key, body.steps, body.samples, body.seed))
    return await _apart(lambda: told.forecast(asked.key, answers, service.view.workers))


async def reset(service: Service, asked: Asked) -> Response:
    answers = await service.asker.ask(inquiries.Reset(asked.key))
    return answered(told.reset(asked.key, answers, service.view.workers), 202)


async def events(service: Service, asked: Asked) -> Response:
    last = asked.last_event_id
    after = int(last) if OFFSET.fullmatch(last) else asked.query.after
    return await service.followers.follow(asked.key, after)


TABLE = (
    Endpoint(
        "GET", "/healthz", "Whether every loop comes round", healthz,
        {200: ("they do", TEXT), 503: ("who does not, a line each", TEXT)}, open=True, media=TEXT,
    ),
    Endpoint(
        "GET", "/readyz", "Whether every assigned partition is live", readyz,
        {200: ("each is", TEXT), 503: ("some is not", TEXT)}, open=True, media=TEXT,
    ),
    Endpoint("GET", "/metrics", "Metrics in Prometheus's format", metrics, {200: ("metrics", TEXT)}, media=TEXT),
    Endpoint("GET", "/v1/model", "The model that is served", model, {200: ("the model", shapes.Model), **BUSY}),
    Endpoint(
        "GET", "/v1/overview", "How the service does", overview,
        {200: ("partitions, streams, and the last ten minutes second by second", shapes.Overview), **BUSY},
        query=shapes.OverviewQuery,
    ),
    Endpoint(
        "GET", "/v1/streams", "List streams", browse, {200: ("streams in that order", shapes.Streams), **BUSY},
        query=shapes.BrowseQuery,
    ),
    Endpoint(
        "GET", "/v1/streams/{key}", "One stream: its last event and prediction", find,
        {200: ("the stream", shapes.Detail), **PROBLEMS},
    ),
    Endpoint(
        "DELETE", "/v1/streams/{key}", "Reset a stream, by a null record in its own partition", reset,
        {202: ("the record is written; the stream starts cold once it is read", shapes.Reset), **PROBLEMS},
    ),
    Endpoint(
        "POST", "/v1/streams/{key}/forecast", "The stream's future, from a state that stays as it is", forecast,
        {200: ("quantiles step by step", shapes.Forecast), **PROBLEMS}, body=shapes.ForecastBody,
    ),
    Endpoint(
        "GET", "/v1/streams/{key}/events", "Follow a stream as its events come: server-sent events", events,
        {200: ("events as they come, after those that are remembered", shapes.Event), **PROBLEMS},
        query=shapes.FollowQuery, media=EVENTS,
    ),
)  # fmt: skip
