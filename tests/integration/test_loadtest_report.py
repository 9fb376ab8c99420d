"""What a real load test writes, with a service of its own that nobody kills, and with none."""

import io
import os
import socket
import sys
from pathlib import Path

import orjson
import pytest

from export.sample import random_model
from loadtest.compare import compare
from loadtest.errors import UsageError
from loadtest.options import LoadOptions
from loadtest.port import ClientName
from loadtest.run import run
from localbroker.broker import LocalBroker
from tests.conftest import Elsewhere, MakeTopic

Kafka = LocalBroker | Elsewhere


def test_a_load_test_with_kafka_python_starts_its_service_waits_for_it_and_watches_it(
    kafka: Kafka, make_topic: MakeTopic, tmp_path: Path
) -> None:
    model, client = tmp_path / "model.onnx", "kafka-python"
    random_model(model, hidden=8)
    source, target = make_topic(2), make_topic(2)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        http = f"127.0.0.1:{free.getsockname()[1]}"
    serve = (
        f"{sys.executable} -m statecast serve --model {model} --bootstrap-servers {kafka.bootstrap_servers} "
        f"--input-topic {source} --output-topic {target} --client {client} --http {http}"
    )
    figures, page, out = tmp_path / "figures.json", tmp_path / "page.html", io.StringIO()

    code = run(
        LoadOptions(
            bootstrap_servers=kafka.bootstrap_servers,
            input_topic=source,
            output_topic=target,
            client="kafka-python",
            model=model,
            streams=50,
            rate=500,
            seconds=3,
            serve=serve,
            serve_log=tmp_path / "serve.log",
            serve_ready=f"http://{http}/readyz",
            watch_interval=0.5,
            verify=True,
            json=figures,
            html=page,
        ),
        out=out,
        err=io.StringIO(),
    )

    assert code == 0, out.getvalue()
    told = orjson.loads(figures.read_bytes())
    over_time = told["timeline"]
    assert told["kills"] is None
    assert told["latency_ms"]["p50"] < 1500, "nothing was offered before it was ready"
    assert over_time["interval"] == 0.5
    assert sum(filter(None, over_time["arrived"])) * 0.5 == pytest.approx(1500, rel=0.35)
    assert sum(filter(None, over_time["offered"])) * 0.5 == pytest.approx(1500, rel=0.35)
    assert max(filter(None, over_time["p99"])) <= told["latency_ms"]["max"] * 1.02
    assert told["cpu_us_per_event"] > 0
    assert told["options"]["rate"] == 500
    assert told["versions"]["kafka-python"][0].isdigit()
    assert page.read_text().count("<svg") == 6
    assert "CPU" in out.getvalue()
    table = io.StringIO()
    compare(figures, figures, table)
    assert "same" in table.getvalue()
    assert "WARNING" not in table.getvalue()


@pytest.mark.parametrize("client", ["confluent", "kafka-python"])
def test_a_preload_is_watched_and_drawn_as_well(
    kafka: Kafka, make_topic: MakeTopic, tmp_path: Path, client: ClientName
) -> None:
    figures, page = tmp_path / "figures.json", tmp_path / "page.html"

    code = run(
        LoadOptions(
            bootstrap_servers=kafka.bootstrap_servers,
            input_topic=make_topic(2),
            client=client,
            preload=True,
            rate=1000,
            seconds=1,
            watch_interval=0.25,
            pid=(os.getpid(),),
            json=figures,
            html=page,
        ),
        out=io.StringIO(),
        err=io.StringIO(),
    )

    over_time = orjson.loads(figures.read_bytes())["timeline"]
    assert code == 0
    assert sum(filter(None, over_time["offered"])) * 0.25 == pytest.approx(1000, rel=0.35)
    assert not any(over_time["lag"])
    assert max(filter(None, over_time["cpu"])) > 0, "of the process that --pid names"
    assert page.read_text().count("<svg") == 3


def test_a_process_that_is_not_there_is_refused(kafka: Kafka, make_topic: MakeTopic) -> None:
    topic = make_topic(1)
    options = LoadOptions(bootstrap_servers=kafka.bootstrap_servers, input_topic=topic, preload=True, pid=(2**30,))

    with pytest.raises(UsageError, match="--pid 1073741824: there is no such process"):
        run(options)
