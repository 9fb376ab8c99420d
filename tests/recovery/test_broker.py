"""The broker dies, and comes back, at once or much later: no event is lost, none is predicted twice."""

import time

from localbroker.broker import LocalBroker
from tests.recovery.world import CHECKPOINTS, World, shared, until

AWAY = 20.0  # seconds; longer than sessions and transactions last


def test_a_broker_that_dies_and_comes_back_costs_no_event(lonely: tuple[LocalBroker, World]) -> None:
    broker, world = lonely
    with world.serve("a", *CHECKPOINTS) as first, world.serve("b", *CHECKPOINTS) as second:
        with world.feed(streams=100) as feed:
            shared(world, first, second)

            broker.kill()
            broker.restart()

            shared(world, first, second, timeout=120)
            until(world, "work goes on", lambda: world.outputs() > 400, 120)

            broker.kill()
            time.sleep(AWAY)
            broker.restart()

        until(world, "everything is predicted", lambda: world.outputs() >= feed.sent, 150)
        for service in (first, second):
            service.terminate()
        for service in (first, second):
            assert service.wait() == 0, world.logs()
    world.check(events=feed.sent)
