"""The load test against a real broker and a service of twenty lines: what it offers, measures and verifies."""

import io
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from kafka import KafkaProducer

from engine.columns import Columns, Outcome
from engine.model import Model
from engine.step import Engine
from export.sample import random_model
from loadtest.errors import EnvironmentFault, UsageError
from loadtest.input_format import InputFormat
from loadtest.kafka import connect
from loadtest.options import LoadOptions
from loadtest.port import ClientName, Records
from loadtest.run import run
from loadtest.verify import verify
from localbroker.broker import LocalBroker
from tests.conftest import Elsewhere, MakeTopic
from tests.service import eventually, meanwhile

Kafka = LocalBroker | Elsewhere
CLIENTS: list[ClientName] = ["confluent", "kafka-python"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    random_model(path, features=("value", "load %"), hidden=8)
    return path


class Echo:
    """A service without any care: no groups, no commits, one engine."""

    def __init__(self, servers: str, model: Path, source: str, target: str) -> None:
        self.model = Model(model)
        self.engine, self.form = Engine(self.model, 1000), InputFormat(self.model.signature)
        self.target, self.cluster = target, connect(servers)
        self.reader, self.writer = self.cluster.reader(source), self.cluster.writer(linger=0.0)
        self.reader.assign(dict.fromkeys(range(self.cluster.partitions(source) or 0), 0))

    def turn(self) -> None:
        """Step what is there."""
        records = self.reader.poll(2000, 0.05)
        for partition in set(records.partitions):
            mine = [i for i, p in enumerate(records.partitions) if p == partition]
            columns: tuple[list[Any], ...] = (records.offsets, records.timestamps, records.keys, records.values)
            events = self.form.read(
                Records([partition] * len(mine), *([column[i] for i in mine] for column in columns))
            )
            outcome = self.engine.step(events.columns(partition))
            done = outcome.stepped.nonzero()[0]
            values = [self.output(events.columns(partition), outcome, int(i)) for i in done]
            keys, times = [events.keys[i] for i in done], events.timestamp[done].tolist()
            self.writer.send(self.target, [partition] * len(done), keys, values, times)
        self.writer.flush(10)

    def output(self, columns: Columns, outcome: Outcome, i: int) -> bytes:
        signature, quantiles = self.model.signature, outcome.predicted[i]
        middle = signature.levels.index(0.5)
        figures = {"prediction": quantiles[:, middle], "lower": quantiles[:, 0], "upper": quantiles[:, -1]}
        figures["surprise"] = outcome.surprise[i]
        body = {"offset": columns.offset[i], "ts": columns.time[i], "step": outcome.step[i]}
        body |= {name: dict(zip(signature.targets, row, strict=True)) for name, row in figures.items()}
        return orjson.dumps(body | {"model": self.model.fingerprint[:8]}, option=orjson.OPT_SERIALIZE_NUMPY)

    @contextmanager
    def running(self) -> Iterator[None]:
        with closing(self.reader), meanwhile(self.turn):
            yield


@pytest.mark.parametrize("client", CLIENTS)
def test_a_load_is_offered_followed_and_verified(
    kafka: Kafka, make_topic: MakeTopic, model: Path, tmp_path: Path, client: ClientName
) -> None:
    source, target, figures = make_topic(2), make_topic(2), tmp_path / "figures.json"
    echo = Echo(kafka.bootstrap_servers, model, source, target)
    options = LoadOptions(
        bootstrap_servers=kafka.bootstrap_servers,
        input_topic=source,
        output_topic=target,
        client=client,
        model=model,
        streams=50,
        keys="zipf",
        missing=0.05,
        events=2000,
        rate=2000,
        verify=True,
        batch=300,
        json=figures,
    )
    out, err = io.StringIO(), io.StringIO()

    with echo.running():
        code = run(options, out=out, err=err)

    told = orjson.loads(figures.read_bytes())
    assert code == 0, out.getvalue()
    assert (told["events"], told["predictions"], told["complete"]) == (2000, 2000, True)
    assert told["verify"]["checked"] == 2000
    assert [told["verify"][kind] for kind in ("missing", "duplicated", "reordered", "different")] == [0] * 4
    assert 0 < told["latency_ms"]["p50"] <= told["latency_ms"]["p99"] <= told["latency_ms"]["max"] < 60_000
    assert 0 < told["events_per_second"] < 2100
    assert "every event has exactly its outcome" in out.getvalue()


def test_a_preloaded_topic_is_drained_and_the_output_topic_may_come_late(
    kafka: Kafka, make_topic: MakeTopic, model: Path, tmp_path: Path
) -> None:
    """The follower starts first, then the service."""
    source, figures = make_topic(2), tmp_path / "figures.json"
    target = f"{source}-output"
    common = {"bootstrap_servers": kafka.bootstrap_servers, "input_topic": source, "model": model}
    assert run(LoadOptions(**common, preload=True, events=5000, streams=50)) == 0  # type: ignore[arg-type]
    out, err, codes = io.StringIO(), io.StringIO(), []
    drain = LoadOptions(**common, output_topic=target, drain=True, timeout=30, json=figures)  # type: ignore[arg-type]
    thread = threading.Thread(target=lambda: codes.append(run(drain, out=out, err=err)))
    thread.start()
    eventually("the follower listens", lambda: "start the service now" in err.getvalue())
    with closing(connect(kafka.bootstrap_servers)) as cluster:
        cluster.create(target, 2)

    with Echo(kafka.bootstrap_servers, model, source, target).running():
        thread.join()

    told = orjson.loads(figures.read_bytes())
    assert codes == [0], out.getvalue()
    assert (told["mode"], told["predictions"]) == ("drain", 5000)
    assert told["latency_ms"]["p50"] is None, "waiting for the test to begin is no latency"


@pytest.mark.parametrize("client", CLIENTS)
def test_what_is_wrong_on_a_real_topic_is_found(
    kafka: Kafka, make_topic: MakeTopic, model: Path, client: ClientName
) -> None:
    """A lost last event, an aborted transaction, and two bad records of which one has its dead letter."""
    source, target, dead = make_topic(1), make_topic(1), make_topic(1)
    echo = Echo(kafka.bootstrap_servers, model, source, target)
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap_servers, transactional_id=f"{source}-writer")
    producer.init_transactions()

    def transaction(values: list[bytes], commit: bool) -> None:
        producer.begin_transaction()
        for value in values:
            producer.send(source, value, key=b"s", timestamp_ms=1_700_000_000_000)
        if commit:
            producer.commit_transaction()
        else:
            producer.flush()
            producer.abort_transaction()

    good = [b'{"value": %d, "load %%": null}' % i for i in range(10)]
    transaction([*good, b'{"value": 1}'], commit=True)  # offsets 0 to 10, control record 11
    transaction(good, commit=False)  # 12 to 22
    transaction([b"no", *good], commit=True)  # 23 to 33
    place = {"topic": source.encode(), "partition": b"0", "offset": b"10", "code": b"wrong_field"}
    headers = [(f"__statecast.errors.{name}", value) for name, value in place.items()]
    producer.begin_transaction()
    producer.send(dead, b'{"value": 1}', key=b"s", timestamp_ms=1_700_000_000_000, headers=headers)
    producer.commit_transaction()
    producer.close()
    while echo.reader.position(0) < 34:
        echo.turn()
    sound = verify(kafka.bootstrap_servers, model, source, target, client=client)

    with closing(connect(kafka.bootstrap_servers)) as cluster:
        extra = cluster.writer(linger=0.0)
        extra.send(source, [0], [b"s"], [b'{"value": 1, "load %": 2}'], [1])
        extra.flush(10)
    result = verify(kafka.bootstrap_servers, model, source, target, dead_letter_topic=dead, client=client)

    assert sound.passed, sound.examples
    assert (sound.events, sound.outputs.expected, sound.dead) == (22, 20, 2)
    assert (result.outputs.missing, result.outputs.unexpected, result.outputs.different) == (1, 0, 0)
    assert result.letters is not None
    assert (result.letters.expected, result.letters.seen, result.letters.missing) == (2, 1, 1)


def test_a_missing_output_ends_the_wait_with_1(kafka: Kafka, make_topic: MakeTopic) -> None:
    out = io.StringIO()
    options = LoadOptions(
        bootstrap_servers=kafka.bootstrap_servers,
        input_topic=make_topic(1),
        output_topic=make_topic(1),
        events=10,
        timeout=0.5,
    )

    assert run(options, out=out) == 1
    assert "NOT ALL ARRIVED" in out.getvalue()


def test_what_is_not_there_is_told_in_one_line(
    kafka: Kafka, make_topic: MakeTopic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loadtest.with_confluent.CONNECT_TIMEOUT", 1.0)
    monkeypatch.setattr("loadtest.with_kafka_python.CONNECT_TIMEOUT", 1.0)
    servers, topic = kafka.bootstrap_servers, make_topic(2)
    with pytest.raises(EnvironmentFault, match="--input-topic gone: there is no such topic"):
        run(LoadOptions(bootstrap_servers=servers, input_topic="gone", output_topic="out"))
    with pytest.raises(EnvironmentFault, match=r"--output-topic .*: has 1 partitions, the input topic has 2"):
        run(LoadOptions(bootstrap_servers=servers, input_topic=topic, output_topic=make_topic(1), events=1))
    with pytest.raises(UsageError, match=r"--model: model .*no\.onnx: cannot be read"):
        run(LoadOptions(bootstrap_servers=servers, input_topic=topic, preload=True, model=tmp_path / "no.onnx"))
    for client in CLIENTS:
        with pytest.raises(EnvironmentFault, match=r"--bootstrap-servers 127\.0\.0\.1:1: no broker answers"):
            run(LoadOptions(bootstrap_servers="127.0.0.1:1", input_topic=topic, preload=True, client=client))
