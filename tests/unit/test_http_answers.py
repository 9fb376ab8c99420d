"""What is answered over HTTP, by a real server whose service is made up."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from stream import inquiries as asked
from tests.web import SERVICE, ask, get, server

KEYS = [b"pump", b"a/b", b"/", b"", b"\x00", b"\xff\xfe", b"%2F", b"..", "größe".encode(), b"forecast", b"a b+c?d#e\n"]
SAID = {
    "offset": 17,
    "ts": 1700,
    "step": 5,
    "prediction": 1.5,
    "lower": 1.0,
    "upper": 2.0,
    "surprise": 0.3,
    "model": "x",
}


def stream(key: bytes = b"pump", partition: int = 1, offset: int = 17, ts: int = 1700, **more: Any) -> asked.Stream:
    return asked.Stream(key, partition, 5, offset, ts, **more)


def found(*streams: asked.Stream, home: int = 1, here: bool = True, event: Any = None) -> asked.Found:
    return asked.Found(home, here, streams, (SAID,) * len(streams), (event,) * len(streams))


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with server(SERVICE, workers=2) as address:
        yield address


@pytest.mark.parametrize("key", KEYS)
def test_a_key_is_any_bytes_and_its_path_leads_back_to_it(address: str, key: bytes) -> None:
    reply = get(address, f"/v1/streams/{quote(key, safe='')}", found(stream(key)))
    assert SERVICE.questions == [asked.Find(key)]
    assert reply.json["path"] == quote(key, safe="")
    assert reply.json["key"] == key.decode(errors="replace")

    get(address, f"/v1/streams/{reply.json['path']}/forecast", asked.Wrong(422, ""), method="POST", body={"steps": 1})
    assert SERVICE.questions == [asked.Forecast(key, 1, 1000)]
    get(address, f"/v1/streams/{reply.json['path']}", asked.Wrong(422, ""), method="DELETE")
    assert SERVICE.questions == [asked.Reset(key)]


def test_a_stream_is_told_with_its_last_event_and_what_that_said(address: str) -> None:
    reply = get(address, "/v1/streams/pump", found(stream(surprise=0.3), event={"value": 1.25, "ts": 1700}))
    assert reply.status == 200
    assert reply.json == {
        "key": "pump", "path": "pump", "partition": 1, "step": 5, "offset": 17, "ts": 1700, "surprise": 0.3,
        "event": {"value": 1.25, "ts": 1700}, "model": "01234567", "prediction": 1.5, "lower": 1.0, "upper": 2.0,
    }  # fmt: skip


def test_a_frozen_stream_is_told_and_says_nothing(address: str) -> None:
    frozen = asked.Stream(b"pump", 1, -1, 17, 1700)
    reply = get(address, "/v1/streams/pump", asked.Found(1, True, (frozen,), ({},), (None,)))
    assert (reply.status, reply.json["frozen"], reply.json["step"], reply.json["offset"]) == (200, True, 0, 17)
    assert "prediction" not in reply.json
    (one,) = get(address, "/v1/streams", asked.Listed((frozen,), False)).json["streams"]
    assert one["frozen"]


def test_of_several_streams_the_one_where_the_key_belongs_comes_first(address: str) -> None:
    here, there = found(stream(partition=0), stream(partition=2)), found(stream(partition=1))
    reply = get(address, "/v1/streams/pump", here, there)
    assert reply.json["partition"] == 1
    assert [other["partition"] for other in reply.json["elsewhere"]] == [0, 2]


def test_an_unknown_key_is_404_where_its_partition_is_here_else_421_with_the_partition(address: str) -> None:
    reply = get(address, "/v1/streams/x", found(), found(here=False))
    assert (reply.status, list(reply.json)) == (404, ["error"])
    reply = get(address, "/v1/streams/x", found(home=3, here=False), found(home=3, here=False))
    assert (reply.status, reply.json["partition"]) == (421, 3)
    # A key that another producer put into a partition that is here.
    assert get(address, "/v1/streams/x", found(stream(), home=3, here=False), found(here=False)).status == 200


def test_who_did_not_answer_may_have_it(address: str) -> None:
    for here in (True, False):
        assert get(address, "/v1/streams/x", found(here=here)).status == 503
    reply = get(address, "/v1/streams/x")
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")


@pytest.mark.parametrize(
    ("path", "method", "body"),
    [
        ("", "GET", None),
        ("/x", "GET", None),
        ("/x", "DELETE", None),
        ("/x/forecast", "POST", {"steps": 1}),
        ("/x/events", "GET", None),
    ],
)
def test_why_the_service_cannot_answer_is_passed_on(address: str, path: str, method: str, body: Any) -> None:
    reply = get(address, f"/v1/streams{path}", asked.Wrong(422, "because"), method=method, body=body)
    assert (reply.status, reply.json) == (422, {"error": "because"})


@pytest.mark.parametrize(("order", "expected"), [("key", "abcd"), ("recent", "dbca"), ("surprise", "bdac")])
def test_lists_of_several_workers_are_one_list(address: str, order: str, expected: str) -> None:
    one = [stream(b"a", ts=1, surprise=0.5), stream(b"d", ts=9, surprise=1.0)]
    two = [stream(b"b", ts=5, surprise=3.0), stream(b"c", ts=3)]
    lists = asked.Listed(tuple(one), False), asked.Listed(tuple(two), False)
    reply = get(address, f"/v1/streams?order={order}", *lists)
    assert "".join(s["key"] for s in reply.json["streams"]) == expected
    assert reply.json["more"] is False
    reply = get(address, f"/v1/streams?order={order}&limit=3", *lists)
    assert "".join(s["key"] for s in reply.json["streams"]) == expected[:3]
    assert reply.json["more"] is True


def test_a_prefix_is_bytes_and_parameters_have_their_defaults(address: str) -> None:
    get(address, "/v1/streams?prefix=%FF%2F+%2B", asked.Listed((), False))
    get_default = SERVICE.questions
    assert get_default == [asked.Browse(b"\xff/ +", 100, "key")]


def test_a_forecast_has_quantiles_step_by_step(address: str) -> None:
    step = {"prediction": 1.0, "lower": 0.5, "upper": 2.0, "quantiles": {0.05: 0.5, 0.95: 2.0}}
    made = asked.Forecasted(1, True, (stream(),), ((step, step),))
    reply = get(
        address, "/v1/streams/pump/forecast", made, asked.Forecasted(1, False), method="POST",
        body={"steps": 2.0, "samples": 10, "seed": 7},
    )  # fmt: skip
    assert SERVICE.questions == [asked.Forecast(b"pump", 2, 10, 7)]
    told = {**step, "quantiles": {"0.05": 0.5, "0.95": 2.0}}
    assert reply.json == {
        "key": "pump",
        "path": "pump",
        "partition": 1,
        "offset": 17,
        "steps": [{"step": 1, **told}, {"step": 2, **told}],
    }


def test_a_reset_says_where_the_null_record_lies(address: str) -> None:
    reply = get(address, "/v1/streams/pump", asked.Placed(1, True, {1: 20}), asked.Placed(1, False), method="DELETE")
    assert (reply.status, reply.json) == (202, {"key": "pump", "path": "pump", "placed": {"1": 20}})
    reply = get(address, "/v1/streams/pump", asked.Placed(1, True), asked.Placed(1, False), method="DELETE")
    assert reply.status == 404


def test_the_overview_puts_the_workers_together(address: str) -> None:
    one = asked.Overlooked(
        (asked.PartitionView(1, "live", 5, 0),), 3, 100, (asked.Second(2000, 3, 3, 0, 0.1, 0.2),), worker=1
    )
    two = asked.Overlooked(
        (asked.PartitionView(0, "restoring", 7, None, 0.5),), 4, 200,
        (asked.Second(1000, 1, 1, 1, None, None), asked.Second(2000, 1, 1, 0, 0.5, 0.9)), worker=2,
    )  # fmt: skip
    told = get(address, "/v1/overview?since=500", one, two).json
    assert SERVICE.questions == [asked.Overview(500)]
    assert (told["streams"], told["bank_bytes"], told["workers"], told["silent_workers"]) == (7, 300, 2, 0)
    assert [(p["partition"], p["worker"], p["phase"]) for p in told["partitions"]] == [
        (0, 2, "restoring"),
        (1, 1, "live"),
    ]
    assert [(s["at"], s["events"], s["latency"], s["latency_worst"]) for s in told["seconds"]] == [
        (1000, 1, None, None), (2000, 4, 0.2, 0.9),
    ]  # fmt: skip
    assert (told["model"], told["ready"], told["input_topic"]) == ("01234567", True, "in")


def test_the_overview_is_there_also_when_no_worker_answers(address: str) -> None:
    told = get(address, "/v1/overview")
    assert (told.status, told.json["silent_workers"], told.json["partitions"]) == (200, 2, [])


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        ({"value": 2**70}, {"value": 2**70}),
        ({"value": float("nan")}, {"value": None}),
        ({b"value": b"\xff"}, {"value": "\ufffd"}),
        ({1: [None, True, "\ud800"]}, {"1": [None, True, "?"]}),
        (None, None),
    ],
)
def test_whatever_a_codec_makes_of_an_event_can_be_told(address: str, event: Any, shown: Any) -> None:
    assert get(address, "/v1/streams/pump", found(stream(), event=event)).json["event"] == shown


def test_an_event_that_is_nested_without_end_is_cut_off(address: str) -> None:
    deep: Any = 1
    for _ in range(900):
        deep = [deep]
    assert get(address, "/v1/streams/pump", found(stream(), event=deep)).status == 200


def test_health_is_told_by_beats_and_readiness() -> None:
    beats, ready = {"the loop": 1.0}, [False]
    with server(beats=beats, ready=lambda: ready[0], stuck_after=30) as address:
        assert ask(address, "/healthz?verbose").body == b"ok\n"
        assert ask(address, "/readyz").status == 503
        beats["the loop"], ready[0] = 31.0, True
        stuck = ask(address, "/healthz")
        assert (stuck.status, stuck.body) == (503, b"the loop has not come round for 31 s\n")
        assert ask(address, "/readyz").body == b"ready\n"
