"""Every kind of load against a real broker: bad input, replays, several processes, the search for the highest rate."""

import io
import multiprocessing
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import orjson
import polars
import pytest

from export.sample import random_model
from loadtest.codecs import CodecName
from loadtest.errors import EnvironmentFault, UsageError
from loadtest.kafka import connect, read_to
from loadtest.options import LoadOptions
from loadtest.port import ClientName
from loadtest.run import run
from localbroker.broker import LocalBroker
from tests.conftest import Elsewhere, MakeTopic
from tests.service import eventually, serving

Kafka = LocalBroker | Elsewhere
BAD_CODES = {
    "wrong_field", "not_finite", "bad_time", "no_key", "key_too_long", "value_too_long",
}  # fmt: skip


def there(servers: str, topic: str, *, headers: bool = False) -> dict[int, list[Any]]:
    """(timestamp, key, value) of every record, or its headers, per partition."""
    found: dict[int, list[Any]] = {}
    with closing(connect(servers)) as cluster, closing(cluster.reader(topic, headers=headers)) as reader:
        for partition, (low, high) in cluster.watermarks(topic).items():
            parts = list(read_to(reader, topic, partition, low, high, chunk=10_000, timeout=20))
            columns = [(r.headers,) if headers else (r.timestamps, r.keys, r.values) for r in parts]
            found[partition] = [row for part in columns for row in zip(*part, strict=True)]
    return found


@pytest.mark.parametrize(("client", "codec"), [("confluent", "msgpack"), ("kafka-python", "json")])
def test_bad_input_of_every_kind_resets_and_new_streams_are_verified_to_the_last_dead_letter(
    kafka: Kafka, make_topic: MakeTopic, tmp_path: Path, client: ClientName, codec: CodecName
) -> None:
    """Two processes send, in bursts; the service is a real one."""
    source, model, figures = make_topic(3), tmp_path / "model.onnx", tmp_path / "figures.json"
    random_model(model, features=("value", "load %"), hidden=8)
    limits = {"max_key_bytes": 64, "max_value_bytes": 20_000}
    options = LoadOptions(
        bootstrap_servers=kafka.bootstrap_servers,
        input_topic=source,
        output_topic=f"{source}.out",
        client=client,
        codec=codec,
        model=model,
        keys="growing",
        new_streams=0.05,
        streams=20,
        pace="bursty",
        period=1.0,
        rate=1000,
        seconds=3,
        bad=0.1,
        resets=0.02,
        missing=0.05,
        processes=2,
        verify=True,
        json=figures,
        **limits,  # type: ignore[arg-type]
    )
    out, err = io.StringIO(), io.StringIO()
    arguments = {
        "model": model, "bootstrap-servers": kafka.bootstrap_servers, "input-topic": source, "client": client,
        "codec": codec, "output-topic": f"{source}.out", "on-stop": "leave",
        "max-key-bytes": 64, "max-value-bytes": 20_000,
    }  # fmt: skip

    with serving(tmp_path / "serve.log", *(word for n, v in arguments.items() for word in (f"--{n}", str(v)))):
        code = run(options, out=out, err=err)

    told = orjson.loads(figures.read_bytes())
    assert code == 0, out.getvalue() + (tmp_path / "serve.log").read_text()
    assert (told["events"], told["complete"]) == (3000, True)
    letters = there(kafka.bootstrap_servers, f"{source}.out.dead-letters", headers=True)
    codes = Counter(
        (dict(row[0])["__statecast.errors.code"] or b"").decode() for rows in letters.values() for row in rows
    )
    assert set(codes) == BAD_CODES | {f"not_{codec}"}
    assert told["verify"]["dead_letters"]["seen"] == codes.total() == pytest.approx(300, abs=60)
    assert told["predictions"] == told["verify"]["checked"] == pytest.approx(3000 * 0.88, abs=80)


def test_a_file_is_replayed_so_many_times_as_fast_as_it_happened(
    kafka: Kafka, make_topic: MakeTopic, tmp_path: Path
) -> None:
    topic, path = make_topic(2), tmp_path / "day.parquet"
    hours = [0, 1, 2, 2, 5, 12, 24]
    frame = polars.DataFrame({"v": [float(h) for h in hours], "when": [h * 3_600_000 for h in hours]})
    frame.write_parquet(path)
    options = LoadOptions(
        bootstrap_servers=kafka.bootstrap_servers,
        input_topic=topic,
        preload=True,
        file=path,
        value=("v",),
        time="when",
        speed=24 * 3600.0,
    )
    began = time.monotonic()

    assert run(options, out=io.StringIO(), err=io.StringIO()) == 0

    assert time.monotonic() - began > 1.0
    (rows,) = (rows for rows in there(kafka.bootstrap_servers, topic).values() if rows)
    since = [row[0] - rows[0][0] for row in rows]
    assert since == [int(h * 1000 / 24) for h in hours], "a day is a second"
    assert [orjson.loads(row[2])["ts"] for row in rows] == [h * 3_600_000 for h in hours], "its own time is kept"


@pytest.mark.parametrize("client", ["confluent", "kafka-python"])
def test_several_processes_leave_the_topic_that_one_would_leave(
    kafka: Kafka, make_topic: MakeTopic, client: ClientName
) -> None:
    def filled(processes: int, rate: float) -> dict[int, list[tuple[Any, Any]]]:
        topic = make_topic(4)
        options = LoadOptions(
            bootstrap_servers=kafka.bootstrap_servers,
            input_topic=topic,
            client=client,
            preload=True,
            events=3000,
            rate=rate,
            keys="zipf",
            streams=100,
            bad=0.05,
            processes=processes,
            seed=4,
        )
        assert run(options, out=io.StringIO(), err=io.StringIO()) == 0
        records = there(kafka.bootstrap_servers, topic)
        return {partition: [(key, value) for _, key, value in rows] for partition, rows in records.items()}

    one, three = filled(1, 0.0), filled(3, 5000.0)

    assert sum(map(len, one.values())) == 3000
    assert one == three


class Narrow:
    """A service that does nothing, for so many events a second and no more."""

    def __init__(self, servers: str, source: str, target: str, rate: int) -> None:
        self._cluster, self._target, self._most = connect(servers), target, rate // 50
        self._reader, self._writer = self._cluster.reader(source), self._cluster.writer(linger=0.0)
        self._reader.assign(dict.fromkeys(range(self._cluster.partitions(source) or 0), 0))

    @contextmanager
    def running(self) -> Iterator[None]:
        stop = threading.Event()

        def turns() -> None:
            due = time.monotonic()
            while not stop.wait(max(0.0, due - time.monotonic())):
                due = max(due, time.monotonic() - 0.1) + 0.02
                records = self._reader.poll(self._most, 0.001)
                values = [b'{"offset": %d}' % offset for offset in records.offsets]
                self._writer.send(self._target, records.partitions, records.keys, values, records.timestamps)

        thread = threading.Thread(target=turns)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            self._reader.close()


def test_a_ramp_finds_the_rate_that_a_service_bears(kafka: Kafka, make_topic: MakeTopic, tmp_path: Path) -> None:
    """8000/s for a second leave the last event behind by 0.6 s, whatever the machine; a busy one may bear less."""
    source, target, figures = make_topic(2), make_topic(2), tmp_path / "figures.json"
    out, err = io.StringIO(), io.StringIO()
    options = LoadOptions(
        bootstrap_servers=kafka.bootstrap_servers,
        input_topic=source,
        output_topic=target,
        ramp=True,
        p99_below=0.5,
        rate=2000,
        seconds=1,
        json=figures,
    )

    with Narrow(kafka.bootstrap_servers, source, target, 5000).running():
        code = run(options, out=out, err=err)

    told = orjson.loads(figures.read_bytes())
    assert code == 0, out.getvalue() + err.getvalue()
    assert 400 <= told["ramp"]["rate"] < 8000, err.getvalue()
    assert told["rate"] == told["ramp"]["rate"]
    assert told["latency_ms"]["p99"] < 500
    assert told["predictions"] == told["events"] == round(told["rate"]), "the figures are those of the best step"
    too_much = [step["rate"] for step in told["ramp"]["steps"] if not step["passed"]]
    assert min(too_much) / told["ramp"]["rate"] < 2
    assert "is too much" in out.getvalue()
    assert "--seconds 5 shows what is a tenth too high" in err.getvalue()


def test_a_sending_process_that_dies_ends_the_test_in_one_line(kafka: Kafka, make_topic: MakeTopic) -> None:
    topic, told = make_topic(2), list[Exception]()
    options = LoadOptions(
        bootstrap_servers=kafka.bootstrap_servers, input_topic=topic, preload=True, rate=500, seconds=60, processes=2
    )

    def load() -> None:
        try:
            run(options, out=io.StringIO(), err=io.StringIO())
        except EnvironmentFault as fault:
            told.append(fault)

    thread = threading.Thread(target=load)
    thread.start()
    eventually("events come", lambda: all(there(kafka.bootstrap_servers, topic).values()))
    children = multiprocessing.active_children()

    children[0].kill()
    thread.join(20)

    assert len(children) == 2
    assert "a sending process ended before its work was done" in str(told[0])
    eventually("the other one is gone", lambda: not any(child.is_alive() for child in children))


def test_more_processes_than_partitions_and_a_bad_file_of_theirs_are_told_in_one_line(
    kafka: Kafka, make_topic: MakeTopic, tmp_path: Path
) -> None:
    common: dict[str, Any] = {
        "bootstrap_servers": kafka.bootstrap_servers,
        "input_topic": make_topic(2),
        "preload": True,
    }
    with pytest.raises(EnvironmentFault, match=r"--processes 3: topic .* has 2 partitions"):
        run(LoadOptions(**common, processes=3))
    with pytest.raises(UsageError, match=r"--file .*none.csv: cannot be read"):
        run(LoadOptions(**common, processes=2, file=tmp_path / "none.csv", value=("v",)))
