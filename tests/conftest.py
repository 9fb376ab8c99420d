"""What every test may ask for: a running Kafka, and topics on it. The first test that needs it starts it."""

import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from kafka import KafkaAdminClient

from localbroker.broker import LocalBroker

# Before torch is loaded: threads of two test processes on two cores would mostly wait for each other. What a command
# asks for, it still gets.
os.environ.setdefault("OMP_NUM_THREADS", "1")

SLOWEST_FIRST = {"recovery": 0, "integration": 1, "contract": 2, "secure": 3, "browser": 4}
BROKER_FOLDERS = set(SLOWEST_FIRST)

MakeTopic = Callable[..., str]


@dataclass(frozen=True)
class Elsewhere:
    """A Kafka that somebody else runs. As of LocalBroker, a shared test may use bootstrap_servers only."""

    bootstrap_servers: str


@pytest.hookimpl(tryfirst=True)  # before -m looks at the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`-m "not broker"` is the set of tests that needs no Kafka, neither the shared one nor one of their own.

    These run processes against deadlines, on machines that may be busy with others: one that fails is tried once more.
    What failed first is told at the end in any case. All other tests have one try.

    The slowest folders come first, so that no worker ends with one while the others have nothing left to do.
    """
    for item in items:
        folder = item.path.parent.name
        if "kafka" in getattr(item, "fixturenames", ()) or folder in BROKER_FOLDERS:
            item.add_marker(pytest.mark.broker)
            item.add_marker(pytest.mark.flaky(reruns=1))
        if folder == "recovery":  # longer than all its waits together: a wait that fails shows the logs
            item.add_marker(pytest.mark.timeout(900))
    items.sort(key=lambda item: SLOWEST_FIRST.get(item.path.parent.name, len(SLOWEST_FIRST)))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Tests that passed at their second try are no news to be kept quiet."""
    for report in terminalreporter.stats.get("rerun", ()):
        terminalreporter.section(f"failed first: {report.nodeid}")
        terminalreporter.write_line(report.longreprtext)


@pytest.fixture(scope="session")
def kafka() -> Iterator[LocalBroker | Elsewhere]:
    """One broker for all tests, so each makes topics, groups and transactional.ids of its own.

    KAFKA_BOOTSTRAP_SERVERS names one to use instead of the embedded one.
    """
    elsewhere = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if elsewhere:
        yield Elsewhere(elsewhere)
    else:
        with LocalBroker() as broker:
            yield broker


@pytest.fixture(scope="session")
def _admin(kafka: LocalBroker | Elsewhere) -> Iterator[KafkaAdminClient]:
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    yield admin
    admin.close()


@pytest.fixture
def make_topic(_admin: KafkaAdminClient) -> MakeTopic:
    """make_topic(partitions=1, config=None, name=None) -> the name of a new topic, once each partition has a leader.

    The name is unique; a given name is its beginning.
    """

    def make(partitions: int = 1, config: Mapping[str, str] | None = None, name: str | None = None) -> str:
        topic = f"{name or 'topic'}-{uuid.uuid4().hex[:8]}"
        options = {"num_partitions": partitions, "replication_factor": 1, "configs": dict(config or {})}
        _admin.create_topics({topic: options}, wait_for_metadata=True)
        return topic

    return make
