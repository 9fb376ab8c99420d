"""The worlds of the recovery tests, one for each client."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from localbroker.broker import LocalBroker
from tests.conftest import Elsewhere
from tests.recovery.world import CLIENTS, PARTITIONS, World
from tests.service import create_topic


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


@pytest.fixture
def patient(world: World) -> World:
    """The same, whose group keeps a place long enough for a slow restart."""
    world.session = 45.0
    if world.client == "confluent":  # with KIP-848 that is the broker's to say
        admin = KafkaAdminClient(bootstrap_servers=world.servers)
        session = {"consumer.session.timeout.ms": f"{world.session * 1000:.0f}"}
        admin.alter_configs([ConfigResource(ConfigResourceType.GROUP, world.output, session)])
        admin.close()
    return world


@pytest.fixture(params=CLIENTS)
def lonely(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[LocalBroker, World]]:
    """A world with a broker of its own, to be killed."""
    with LocalBroker() as broker:
        create_topic(broker.bootstrap_servers, "in", PARTITIONS)
        yield broker, World(broker.bootstrap_servers, "in", tmp_path, request.param, session=10.0)
