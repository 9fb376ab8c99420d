"""Which client serves, and what stands around both: deadlines and logs."""

import importlib.util
import logging
import threading
import time
from collections.abc import Iterator

import pytest

from stream.broker import logs
from stream.broker.clients import choose
from stream.broker.deadline import Overdue, abandon, bounded
from stream.broker.port import Identity
from stream.errors import UsageError


def without_confluent(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "confluent_kafka" else find(name))


def test_auto_is_confluent_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose("auto").name == "confluent"
    assert choose("kafka-python").name == "kafka-python"
    without_confluent(monkeypatch)
    assert choose("auto").name == "kafka-python"


def test_confluent_where_it_is_not_installed_names_the_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    without_confluent(monkeypatch)
    with pytest.raises(UsageError, match=r"--client confluent: .*pip install 'statecast\[fast\]'"):
        choose("confluent")


def test_an_unknown_client() -> None:
    with pytest.raises(UsageError, match="--client rdkafka: not a client; choose one of auto, kafka-python, confluent"):
        choose("rdkafka")


def test_kafka_python_has_no_newer_group_protocol() -> None:
    with pytest.raises(UsageError, match="KIP-848"):
        choose("kafka-python").source(Identity("h:1", "g", "s"), "t", session_timeout=6.0, group_protocol="consumer")


def test_bounded_returns_or_raises_what_the_call_does() -> None:
    assert bounded(lambda: 7, 5.0, "seven") == 7
    assert bounded(lambda: None, 5.0, "nothing") is None
    with pytest.raises(ZeroDivisionError):
        bounded(lambda: 1 // 0, 5.0, "nonsense")


def test_bounded_gives_up_in_time_and_leaves_the_call_alone() -> None:
    done, go = threading.Event(), threading.Event()

    def slow() -> None:
        go.wait(10)
        done.set()

    began = time.monotonic()
    with pytest.raises(Overdue, match=r"slow did not return within 0\.05 s"):
        bounded(slow, 0.05, "slow")
    assert time.monotonic() - began < 10
    go.set()
    assert done.wait(5)


def test_abandon_does_not_wait_and_hears_no_errors() -> None:
    ran, go = threading.Event(), threading.Event()

    def fail() -> None:
        go.wait(10)
        ran.set()
        raise OSError

    abandon(fail, "fail")
    go.set()
    assert ran.wait(5)


@pytest.fixture
def said() -> Iterator[list[logging.LogRecord]]:
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    logs.log.addHandler(handler)
    logs.log.setLevel(logging.INFO)
    yield records
    logs.log.removeHandler(handler)
    logs.log.setLevel(logging.NOTSET)


def test_the_same_text_is_passed_on_once_in_a_while_and_never_above_warning(said: list[logging.LogRecord]) -> None:
    for port in range(5):
        logs.log.error("Connect to ipv4#127.0.0.1:%d failed (attempt %d of said)", 9000 + port, port)
    assert [record.levelname for record in said] == ["WARNING"]


def test_kafka_pythons_loggers_speak_through_ours(said: list[logging.LogRecord]) -> None:
    relay = logs.quiet_kafka_python()
    assert logs.quiet_kafka_python() is relay
    relay.problems.clear()
    problem = ConnectionRefusedError("nobody there")
    logging.getLogger("kafka.net.manager").error("Connection failed, once for a test: %s", problem)
    logging.getLogger("kafka.net.manager").info("Attempting bootstrap")
    assert [record.getMessage() for record in said] == ["Connection failed, once for a test: nobody there"]
    assert list(relay.problems) == [problem]
