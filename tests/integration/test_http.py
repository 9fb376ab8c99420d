"""A running service asked over HTTP, against a real broker: alone, and as two workers behind a parent with a token."""

import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from stream.http import shapes
from tests import web
from tests.integration.asked import KEYS, PARTITIONS, World
from tests.service import eventually

TOKEN = "a-token-that-must-not-be-seen"


@pytest.fixture(scope="module", params=["one process", "two workers"])
def world(request: pytest.FixtureRequest, kafka: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    several = request.param == "two workers"
    world = World(kafka.bootstrap_servers, tmp_path_factory.mktemp("http"), token=TOKEN if several else "")
    secret = world.folder / "token"
    secret.write_text(TOKEN + "\n")
    secret.chmod(0o600)
    with pytest.MonkeyPatch.context() as patch:
        if several:
            patch.setenv("STATECAST_HTTP__TOKEN_FILE", str(secret))
        with world.serve("main", *(("--workers", "2") if several else ())) as (service, world.address):
            eventually("all is shared out and live", lambda: settled(world, {1, 2} if several else {None}))
            yield world
            with world.follow(KEYS[0]) as events:
                service.terminate()
                list(events)  # a stop ends an open stream in order: the last chunk comes
            assert service.wait() == 0, service.log.read_text()
    log = service.log.read_text()
    assert TOKEN not in log
    assert "http_failed" not in log
    assert "Traceback" not in log


def settled(world: World, workers: set[int | None]) -> bool:
    """Whether every stream is here, in live partitions, of which each worker has some."""
    told = world.ask("/v1/overview").json
    live = {part["partition"] for part in told["partitions"] if part["phase"] == "live"}
    return (
        len(live) == PARTITIONS
        and {p["worker"] for p in told["partitions"]} == workers
        and told["streams"] == len(KEYS)
    )


@pytest.fixture
def key(world: World) -> bytes:
    """A stream of the test's own that has had two events."""
    key = b"own-%s" % uuid.uuid4().hex[:8].encode()
    world.send(key, value=1.25)
    world.send(key, value=2.5)
    eventually("its two events", lambda: world.step(key) == 2)
    eventually("what the last one's commit says", lambda: world.stream(key).json["surprise"] is not None)
    return key


def test_every_stream_is_found_by_its_bytes(world: World) -> None:
    for key in KEYS:
        reply = world.stream(key)
        assert reply.status == 200, (key, reply)
        assert reply.json["path"] == quote(key, safe="")
    listed = world.ask("/v1/streams?prefix=pump&limit=3").json
    assert [one["key"] for one in listed["streams"]] == ["pump-0", "pump-1", "pump-2"]
    assert listed["more"] is True
    everything = world.ask("/v1/streams?limit=1000").json
    assert {quote(key, safe="") for key in KEYS} <= {one["path"] for one in everything["streams"]}


def test_a_stream_is_told_with_its_last_event_and_its_prediction(world: World, key: bytes) -> None:
    told = world.stream(key).json
    model = world.ask("/v1/model").json
    assert (told["step"], told["event"], told["model"]) == (2, {"value": 2.5}, model["fingerprint"][:8])
    assert told["lower"] <= told["prediction"] <= told["upper"]
    assert model["signature"]["task"] == "number"


def test_an_unknown_key_is_404(world: World) -> None:
    nobody = "/v1/streams/nobody"
    assert world.ask(nobody).status == 404
    assert world.ask(nobody, "DELETE").status == 404
    assert world.ask(f"{nobody}/events").status == 404
    assert world.ask(f"{nobody}/forecast", "POST", {"steps": 1}).status == 404


def test_a_forecast_leaves_the_stream_as_it_is_and_the_same_seed_gives_the_same(world: World, key: bytes) -> None:
    before = world.stream(key).json
    path = f"/v1/streams/{key.decode()}/forecast"
    one, two = (world.ask(path, "POST", {"steps": 3, "samples": 50, "seed": 7}) for _ in range(2))
    assert one.status == 200, one
    assert one.json == two.json
    assert [step["step"] for step in one.json["steps"]] == [1, 2, 3]
    first = one.json["steps"][0]
    assert list(first["quantiles"].values()) == sorted(first["quantiles"].values())
    assert first["prediction"] == pytest.approx(before["prediction"])
    assert world.stream(key).json == before


def test_after_a_reset_the_next_event_is_the_first(world: World, key: bytes) -> None:
    reply = world.ask(f"/v1/streams/{key.decode()}", "DELETE")
    assert reply.status == 202, reply
    assert len(reply.json["placed"]) == 1
    world.send(key)
    eventually("its first event", lambda: world.step(key) == 1)


def test_who_follows_sees_events_as_they_come(world: World, key: bytes) -> None:
    with world.follow(key) as events:
        world.send(key, value=3.5)
        seen: list[Any] = []
        while not seen or seen[-1]["data"]["step"] < 3:
            seen.append(next(events))
        last = seen[-1]["data"]
        assert (last["actual"], seen[-1]["id"]) == ({"value": 3.5}, last["offset"])
        assert last["expected"]["lower"] <= last["expected"]["upper"]
        assert last["surprise"] is not None
        assert msgspec.convert(last, shapes.Event).step == last["step"] == 3  # as the document has it
        world.send(key, value=4.5)
        assert next(events)["data"]["actual"] == {"value": 4.5}
    # Who comes again with the last offset has what came since.
    world.send(key, value=5.5)
    with world.follow(key, f"?after={last['offset']}") as events:
        assert [next(events)["data"]["actual"]["value"] for _ in range(2)] == [4.5, 5.5]


def complete(overview: Any) -> Any:
    return None if overview["silent_workers"] else overview


def test_the_overview_has_all_partitions(world: World) -> None:
    told = eventually("all answer", lambda: complete(world.ask("/v1/overview").json))
    assert [(p["partition"], p["phase"]) for p in told["partitions"]] == [(0, "live"), (1, "live")]
    assert {p["worker"] for p in told["partitions"]} == ({1, 2} if world.token else {None})
    assert (told["ready"], told["input_topic"]) == (True, world.topic)
    assert sum(second["events"] for second in told["seconds"]) >= len(KEYS)


def test_the_token_is_wanted_where_there_is_one(world: World) -> None:
    status = web.ask(world.address, "/v1/overview").status
    assert status == (401 if world.token else 200)
    assert web.ask(world.address, "/").status == 200
