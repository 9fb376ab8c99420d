"""kill -9, restarts, instances that join and leave, a broker that dies: each event has exactly one prediction."""

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from export.sample import random_model
from loadtest.verify import verify
from localbroker.broker import LocalBroker
from tests.service import eventually, produce, read, readings, serving

CLIENTS = ["confluent", "kafka-python"]


class World:
    """A model, an input topic with 4 partitions, and services that share them."""

    def __init__(self, servers: str, topic: str, folder: Path, client: str) -> None:
        self.servers, self.input, self.output, self.folder = servers, topic, f"{topic}.out", folder
        self.client = client
        self.model = folder / "model.onnx"
        random_model(self.model, hidden=8, scaling="stream", lags=(1, 2))

    def serve(self, instance: str, *more: str) -> Any:
        return serving(
            self.folder / f"{instance}.log",
            "--model", str(self.model), "--bootstrap-servers", self.servers, "--client", self.client,
            "--input-topic", self.input, "--output-topic", self.output, "--application-id", self.output,
            "--instance-id", instance, "--session-timeout", "6", "--commit-interval", "0.05", *more,
        )  # fmt: skip

    def drain(self, instance: str, *more: str) -> None:
        with self.serve(instance, "--until-end", *more) as service:
            assert service.wait() == 0, service.log.read_text()

    def outputs(self) -> int:
        return len(read(self.servers, self.output))

    def check(self, delivery: str = "exactly_once") -> Any:
        result = verify(self.servers, self.model, self.input, self.output, delivery=delivery)
        assert result.passed, result
        return result


@pytest.fixture(params=CLIENTS)
def world(request: pytest.FixtureRequest, kafka: Any, make_topic: Callable[..., str], tmp_path: Path) -> World:
    return World(kafka.bootstrap_servers, make_topic(partitions=4), tmp_path, request.param)


@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
def test_kill_9_at_random_moments_loses_nothing_and_doubles_nothing(world: World, delivery: str) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    total = 0
    for _ in range(3):
        produce(world.servers, world.input, readings(4000, streams=200, first=total))
        total += 4000
        with world.serve("a", "--delivery", delivery) as service:
            eventually("the service is at work", lambda s=service: s.said("partitions_assigned"))
            service.process.poll()
            eventually("a random moment", lambda: chance.random() < 0.05)
            service.kill()
    world.drain("a", "--delivery", delivery)
    result = world.check(delivery)
    assert result.outputs.expected == total
    if delivery == "exactly_once":
        assert result.outputs.seen == total


def test_instances_that_join_leave_and_die_share_the_work_exactly_once(world: World) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(world.serve("a", "--on-stop", "leave"))
        produce(world.servers, world.input, readings(3000, streams=100))
        eventually("output of the first", lambda: world.outputs() > 0)
        second = stack.enter_context(world.serve("b", "--on-stop", "leave"))
        eventually("the second has work", lambda: any(n["partitions"] for n in second.said("partitions_assigned")))
        produce(world.servers, world.input, readings(3000, streams=100, first=3000))
        first.terminate()
        assert first.wait(30) == 0
        third = stack.enter_context(world.serve("c", "--on-stop", "leave"))
        eventually("the third has work", lambda: any(n["partitions"] for n in third.said("partitions_assigned")))
        second.kill()
        produce(world.servers, world.input, readings(3000, streams=100, first=6000))
        eventually("everything is predicted", lambda: world.outputs() >= 9000, 120)
    assert world.check().outputs.seen == 9000


@pytest.fixture(params=CLIENTS)
def lonely(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[LocalBroker, World]]:
    """A world with a broker of its own, to be killed."""
    from kafka import KafkaAdminClient

    with LocalBroker() as broker:
        admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
        admin.create_topics({"in": {"num_partitions": 4, "replication_factor": 1}}, wait_for_metadata=True)
        admin.close()
        yield broker, World(broker.bootstrap_servers, "in", tmp_path, request.param)


def test_a_broker_that_dies_and_comes_back_costs_no_event(lonely: tuple[LocalBroker, World]) -> None:
    broker, world = lonely
    with world.serve("a") as service:
        produce(world.servers, world.input, readings(4000, streams=100))
        eventually("some output", lambda: world.outputs() > 0)
        broker.kill()
        broker.restart()
        produce(world.servers, world.input, readings(4000, streams=100, first=4000))
        eventually("everything is predicted", lambda: world.outputs() >= 8000, 150)
        service.terminate()
        assert service.wait(40) == 0, service.log.read_text()
    assert world.check().outputs.seen == 8000
