"""The broker dies, and comes back, at once, much later or too late: no event is lost, none is predicted twice."""

import time

from localbroker.broker import LocalBroker
from tests.recovery.world import CHECKPOINTS, World, predicted, progress, shared

AWAY = 20.0  # seconds; longer than sessions and transactions last
SLACK = 5.0  # seconds more, for a busy machine to see the end


def test_a_broker_that_dies_and_comes_back_costs_no_event(lonely: tuple[LocalBroker, World]) -> None:
    broker, world = lonely
    with world.serve("a", *CHECKPOINTS) as first, world.serve("b", *CHECKPOINTS) as second, world.watch() as watch:
        with world.feed(streams=100) as feed:
            shared(world, first, second)

            broker.kill()
            broker.restart()

            shared(world, first, second, timeout=120)
            progress(world, watch, timeout=120)

            broker.kill()
            time.sleep(AWAY)
            broker.restart()

        predicted(world, watch, feed.sent)
        for service in (first, second):
            service.terminate()
        for service in (first, second):
            assert service.wait() == 0, world.logs()
    world.check(events=feed.sent)


def test_a_stop_ends_in_time_although_the_broker_is_away(lonely: tuple[LocalBroker, World]) -> None:
    """By itself with one client, which takes it two calls to the broker; with the other by force, as it has less."""
    broker, world = lonely
    timeout, code = (30.0, 0) if world.client == "confluent" else (5.0, 1)
    with world.watch() as watch:
        with world.feed() as feed, world.serve("a", *CHECKPOINTS, "--stop-timeout", str(timeout)) as service:
            progress(world, watch)
            broker.kill()
            service.terminate()
            try:
                assert service.wait(timeout + SLACK) == code, world.logs()
            finally:
                broker.restart()
        if code:
            assert "took longer than --stop-timeout 5 s" in service.log.read_text(), world.logs()
        else:
            assert service.said("stopped_without_the_broker"), world.logs()
        world.drain("a", *CHECKPOINTS)
        predicted(world, watch, feed.sent)
    world.check(events=feed.sent)
