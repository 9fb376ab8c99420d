"""Whatever the lag, and however fat the events: what is on its way through the service stays under its limit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stream.configuration import load
from stream.errors import UsageError
from tests.integration.application import Application
from tests.service import eventually, produce, read

EVENTS, SIZE = 2_000, 100_000  # bytes
LIMIT = 16  # MiB
SLACK = 48  # MiB: what a process takes for its libraries' buffers, whatever it reads


@pytest.mark.parametrize("client", ["confluent", "kafka-python"])
def test_a_lag_of_fat_events_takes_no_more_memory_than_the_limit(
    kafka: Any, tmp_path: Path, make_topic: Callable[..., str], client: str
) -> None:
    application = Application(kafka.bootstrap_servers, tmp_path, make_topic(partitions=2), client=client)
    limits = ("--in-flight-limit", f"{LIMIT}MiB", "--checkpoint-interval", "3600")
    with application.serving(*limits) as service:
        application.feed(100)
        application.predicted(100)
        before = resident(service.process.pid)
    padding = b'{"value": 1.5, "more": "%b"}' % (b"x" * SIZE)
    fat = [padding, b"no JSON" + padding]  # what goes to the dead letters goes out as fat as it came
    produce(application.servers, application.input, ((b"stream-%d" % (i % 40), fat[i % 2]) for i in range(EVENTS)))

    with application.serving(*limits) as service:
        letters = f"{application.output}.dead-letters"
        eventually("all is worked off", lambda: sum(application.committed().values()) >= 100 + EVENTS, 120, pause=0.5)
        grown = resident(service.process.pid) - before

    assert grown < LIMIT + SLACK
    assert len(read(application.servers, letters)) == EVENTS // 2
    assert len(read(application.servers, application.output)) == 100 + EVENTS // 2


def resident(process: int) -> float:
    """The most memory that a process has taken, MiB."""
    status = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024


def test_a_limit_that_no_fetch_could_keep_is_refused() -> None:
    given = {("kafka", "input_topic"): "in", ("kafka", "output_topic"): "out", ("limits", "in_flight_limit"): "1kB"}
    with pytest.raises(UsageError, match="--in-flight-limit"):
        load(given, None)
