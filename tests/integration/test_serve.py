"""The service as a process against a real broker: what goes in comes out once, in order, with the reference's bits."""

import json
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from export.sample import random_model
from loadtest.verify import verify
from tests.service import command, eventually, produce, read, readings, serving

CLIENTS = ["confluent", "kafka-python"]


@dataclass
class World:
    """A model, three topics and the arguments that join them."""

    servers: str
    model: Path
    input: str
    output: str
    log: Path
    client: str

    @property
    def letters(self) -> str:
        return f"{self.output}.dead-letters"

    def arguments(self, *more: str) -> list[str]:
        return [
            "--model", str(self.model), "--bootstrap-servers", self.servers, "--client", self.client,
            "--input-topic", self.input, "--output-topic", self.output, "--session-timeout", "6", *more,
        ]  # fmt: skip

    def drain(self, *more: str) -> None:
        with serving(self.log, *self.arguments("--until-end", *more)) as service:
            assert service.wait() == 0, self.log.read_text()

    def output_count(self) -> int:
        return len(read(self.servers, self.output))

    def check(self, delivery: str = "exactly_once") -> Any:
        result = verify(
            self.servers, self.model, self.input, self.output, dead_letter_topic=self.letters, delivery=delivery
        )
        assert result.passed, result
        return result


@pytest.fixture(params=CLIENTS)
def world(request: pytest.FixtureRequest, kafka: Any, make_topic: Callable[..., str], tmp_path: Path) -> World:
    model = tmp_path / "model.onnx"
    random_model(model, hidden=8, scaling="stream", lags=(1, 2, 24))
    source = make_topic(partitions=3)
    return World(kafka.bootstrap_servers, model, source, f"{source}.out", tmp_path / "serve.log", request.param)


@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
def test_every_event_has_one_prediction_also_after_a_restart(world: World, delivery: str) -> None:
    produce(world.servers, world.input, readings(3000, streams=50))
    world.drain("--delivery", delivery)
    assert world.check(delivery).events == 3000

    # A restart has the rows back and goes on where the commit was.
    produce(world.servers, world.input, readings(500, streams=60, first=3000))
    world.drain("--delivery", delivery)
    result = world.check(delivery)
    assert (result.events, result.outputs.seen) == (3500, 3500)


def test_an_output_carries_what_its_reader_needs(world: World) -> None:
    produce(world.servers, world.input, [(b"pump", b'{"value": 21.5, "ts": 1700000000000}')] * 2)
    world.drain()
    first, second = read(world.servers, world.output)
    told = json.loads(second.value)
    assert first.key == second.key == b"pump"
    assert json.loads(first.value)["surprise"] is None
    assert told["offset"] == json.loads(first.value)["offset"] + 1
    assert (told["ts"], told["step"]) == (1_700_000_000_000, 2)
    assert told["lower"] < told["prediction"] < told["upper"]
    assert told["surprise"] >= 0
    source = read(world.servers, world.input)
    assert [r.timestamp for r in (first, second)] == [r.timestamp for r in source]
    assert first.partition == source[0].partition


def test_bad_input_becomes_a_dead_letter_and_harms_nobody(world: World, make_topic: Callable[..., str]) -> None:
    world.input = make_topic(partitions=1, config={"max.message.bytes": "8000000"})
    good = b'{"value": 1.5}'
    long = b'{"value": 1, "x": "' + b"y" * 5_000_000 + b'"}'
    bad = [
        (b"a", b"{not json"), (b"a", b'{"other": 1}'), (b"a", b'{"value": "12"}'), (b"a", b'{"value": NaN}'),
        (b"a", b'{"value": 1e999}'), (None, good), (b"k" * 10_000, good), (b"a", long),
    ]  # fmt: skip
    produce(world.servers, world.input, [(b"a", good), *bad, (b"a", good)])
    world.drain("--output-topic", f"{world.input}.out")
    world.output = f"{world.input}.out"

    outputs = [json.loads(r.value) for r in read(world.servers, world.output)]
    assert [(o["offset"], o["step"]) for o in outputs] == [(0, 1), (9, 2)]
    letters = read(world.servers, world.letters)
    headers = [dict(r.headers) for r in letters]
    codes = [h["__statecast.errors.code"].decode() for h in headers]
    assert codes == [
        "not_json", "wrong_field", "wrong_field", "not_json", "wrong_field", "no_key", "key_too_long", "value_too_long",
    ]  # fmt: skip
    assert [int(h["__statecast.errors.offset"]) for h in headers] == list(range(1, 9))
    assert [(r.key, r.value) for r in letters] == bad
    assert all(h["__statecast.errors.message"] for h in headers)
    world.check()


def test_created_topics_take_whatever_the_input_took(world: World, make_topic: Callable[..., str]) -> None:
    source = make_topic(config={"message.timestamp.after.max.ms": str(2**62), "max.message.bytes": "2000"})
    world = replace(world, input=source, output=f"{source}.out")
    in_2100 = 4_102_444_800_000
    produce(world.servers, source, [(b"a", b'{"value": 1}')], at=in_2100)
    produce(world.servers, source, [(b"a", b"bad" * 100)] * 3000, batch_size=0)
    produce(world.servers, source, [(b"a", b"bad")], at=in_2100)
    world.drain()
    assert [record.timestamp for record in read(world.servers, world.output)] == [in_2100]
    letters = read(world.servers, world.letters)
    assert (len(letters), letters[-1].timestamp) == (3001, in_2100)


def test_memory_that_this_machine_has_not_is_told(told: Callable[..., tuple[int, str]], make_topic: Any) -> None:
    code, error = told(**{"input-topic": make_topic(), "memory-limit": "900TiB"})
    assert code == 2
    assert error.startswith("statecast: --memory-limit ")


def test_an_output_topic_that_takes_no_prediction_ends_the_service_with_one_line(
    world: World, make_topic: Callable[..., str]
) -> None:
    narrow = make_topic(partitions=3, config={"max.message.bytes": "100"})
    produce(world.servers, world.input, readings(500, streams=10))
    result = command("serve", *world.arguments("--until-end", "--log-level", "error", "--output-topic", narrow))
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert narrow in last
    assert "max.message.bytes" in last
    world.drain()
    world.check()


def test_a_null_record_resets_its_stream(world: World) -> None:
    produce(world.servers, world.input, [(b"a", b'{"value": 1}'), (b"a", b'{"value": 2}'), (b"a", None)])
    produce(world.servers, world.input, [(b"a", b'{"value": 3}')])
    world.drain()
    assert [json.loads(r.value)["step"] for r in read(world.servers, world.output)] == [1, 2, 1]
    world.check()


def test_sigterm_commits_and_ends_at_once_and_the_next_start_goes_on(world: World) -> None:
    produce(world.servers, world.input, readings(2000, streams=20))
    with serving(world.log, *world.arguments()) as service:
        eventually("some output", lambda: world.output_count() > 0)
        service.terminate()
        assert service.wait(40) == 0
        assert service.said("stopped")
    world.drain()
    assert world.check().outputs.seen == 2000


def test_health_tells_readiness_and_metrics_count(world: World) -> None:
    produce(world.servers, world.input, readings(300, streams=10))
    with serving(world.log, *world.arguments("--http", "127.0.0.1:0")) as service:
        address = eventually("the HTTP address", lambda: service.said("http"))[0]["address"]

        def get(path: str) -> str:
            with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as answer:
                return str(answer.read().decode())

        assert get("/healthz") == "ok\n"
        eventually("300 predictions counted", lambda: "statecast_predictions_total 300.0" in get("/metrics"))
        eventually("10 streams counted", lambda: "statecast_streams 10.0" in get("/metrics"))
        assert get("/readyz") == "ready\n"


@pytest.fixture
def told(kafka: Any, tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Runs serve with a fault; (exit code, what stood on stderr)."""
    model = tmp_path / "model.onnx"
    random_model(model, hidden=4)

    def run(**changed: str) -> tuple[int, str]:
        options = {
            "model": str(model), "bootstrap-servers": kafka.bootstrap_servers, "input-topic": "absent",
            "output-topic": "out", "log-level": "error", **changed,
        }  # fmt: skip
        result = command("serve", *(part for name, value in options.items() for part in (f"--{name}", value)))
        return result.returncode, result.stderr

    return run


def test_a_missing_input_topic_is_told(told: Callable[..., tuple[int, str]]) -> None:
    code, error = told()
    assert code == 1
    assert error.startswith("statecast: --input-topic absent: does not exist at ")
    assert error.count("\n") == 1


def test_a_broker_that_is_not_there_is_told(told: Callable[..., tuple[int, str]]) -> None:
    code, error = told(**{"bootstrap-servers": "127.0.0.1:1"})
    assert code == 1
    assert "127.0.0.1:1" in error
    assert error.count("\n") == 1


def test_an_output_topic_with_another_number_of_partitions_is_told(
    told: Callable[..., tuple[int, str]], make_topic: Callable[..., str]
) -> None:
    code, error = told(**{"input-topic": make_topic(partitions=2), "output-topic": make_topic(partitions=3)})
    assert code == 1
    assert "has 3 partitions, the input topic has 2" in error
    assert error.count("\n") == 1


def test_a_compacted_input_is_refused(told: Callable[..., tuple[int, str]], make_topic: Callable[..., str]) -> None:
    code, error = told(**{"input-topic": make_topic(config={"cleanup.policy": "compact"})})
    assert code == 1
    assert "is compacted" in error


def test_at_the_memory_limit_without_a_disk_the_input_waits_and_nothing_is_lost(world: World) -> None:
    produce(world.servers, world.input, readings(100, streams=40))
    with serving(world.log, *world.arguments("--memory-limit", "10kB")) as service:
        eventually("it says so", lambda: service.said("memory_limit_reached"))
        assert "--state-dir" in service.said("memory_limit_reached")[0]["mend"]
        service.terminate()
        assert service.wait() == 0
    world.drain()
    world.check()


def test_with_a_disk_rows_come_and_go_and_predictions_stay_the_same(world: World) -> None:
    produce(world.servers, world.input, readings(600, streams=60))
    world.drain("--memory-limit", "10kB", "--state-dir", str(world.log.parent / "state"), "--commit-interval", "0.01")
    world.check()
    produce(world.servers, world.input, readings(600, streams=60, first=600))
    world.drain("--memory-limit", "10kB", "--state-dir", str(world.log.parent / "state"), "--commit-interval", "0.01")
    world.check()
