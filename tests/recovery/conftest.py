"""The worlds of the recovery tests, one for each client."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kafka import KafkaAdminClient

from localbroker.broker import LocalBroker
from tests.conftest import Elsewhere
from tests.recovery.world import CLIENTS, PARTITIONS, World


@pytest.fixture(params=CLIENTS)
def world(
    request: pytest.FixtureRequest, kafka: LocalBroker | Elsewhere, make_topic: Callable[..., str], tmp_path: Path
) -> World:
    return World(kafka.bootstrap_servers, make_topic(partitions=PARTITIONS), tmp_path, request.param)


@pytest.fixture
def modern(world: World) -> World:
    """The same, with each client's newest group protocol: KIP-848 for confluent."""
    if world.client == "confluent":
        world.session = 10.0
    return world


@pytest.fixture(params=CLIENTS)
def lonely(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[LocalBroker, World]]:
    """A world with a broker of its own, to be killed."""
    yield from _alone(LocalBroker(), World("", "in", tmp_path, request.param, session=10.0))


@pytest.fixture(params=CLIENTS)
def patient(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[LocalBroker, World]]:
    """A world whose broker keeps a place in the group long enough for a slow restart, with KIP-848, too."""
    broker = LocalBroker(properties={"group.consumer.session.timeout.ms": "45000"})
    yield from _alone(broker, World("", "in", tmp_path, request.param, session=45.0))


def _alone(broker: LocalBroker, world: World) -> Iterator[tuple[LocalBroker, World]]:
    with broker:
        world.servers = broker.bootstrap_servers
        admin = KafkaAdminClient(bootstrap_servers=world.servers)
        admin.create_topics(
            {world.input: {"num_partitions": PARTITIONS, "replication_factor": 1}}, wait_for_metadata=True
        )
        admin.close()
        yield broker, world
