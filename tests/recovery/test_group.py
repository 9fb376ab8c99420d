"""Instances that join, leave, restart and die: who works on what, and who is left in peace."""

import signal
import time
from contextlib import ExitStack

from tests.recovery.world import CHECKPOINTS, PARTITIONS, World, held, live, predicted, progress, shared, until
from tests.service import Service

STILL = 8.0  # seconds that a partition that stays may be still; below a session that runs out
MOVES = ("partitions_assigned", "partitions_revoked", "partitions_lost")
LEAVE = (*CHECKPOINTS, "--on-stop", "leave")


def moves(service: Service) -> int:
    return sum(len(service.said(event)) for event in MOVES)


def test_instances_that_join_leave_and_die_share_the_work_and_what_stays_goes_on(modern: World) -> None:
    world = modern
    with world.watch() as watch, ExitStack() as stack:
        with world.feed(streams=2000, pace=600) as feed:
            first = stack.enter_context(world.serve("a", *LEAVE))
            until(world, "the first has everything", lambda: len(live(first)) == PARTITIONS)
            until(world, "output of every partition", lambda: len(watch.when) == PARTITIONS)

            began = time.monotonic()
            second = stack.enter_context(world.serve("b", *LEAVE))
            third = stack.enter_context(world.serve("c", *LEAVE))
            shared(world, first, second, third)
            stayed = held(first)[0]
            assert stayed
            for partition in stayed:
                assert watch.gap(partition, began, time.monotonic()) < STILL, world.logs()

            first.terminate()
            assert first.wait() == 0
            fourth = stack.enter_context(world.serve("d", *LEAVE))
            shared(world, second, third, fourth)
            second.kill()
            shared(world, third, fourth)
        predicted(world, watch, feed.sent)
    world.check(events=feed.sent)


def test_a_rolling_restart_within_the_session_moves_no_partition(patient: World) -> None:
    world = patient
    with world.watch() as watch, ExitStack() as stack:
        with world.feed() as feed:
            running = {name: stack.enter_context(world.serve(name, *CHECKPOINTS)) for name in "abc"}
            shared(world, *running.values())

            for name, before in list(running.items()):
                others = [service for other, service in running.items() if other != name]
                moved = [moves(service) for service in others]
                had = held(before)[0]
                before.terminate()
                assert before.wait() == 0
                running[name] = after = stack.enter_context(world.serve(name, *CHECKPOINTS))
                until(world, "it is back", lambda after=after: live(after))
                assert live(after) == had, world.logs()
                assert [moves(service) for service in others] == moved, world.logs()

            progress(world, watch)
        predicted(world, watch, feed.sent)
    world.check(events=feed.sent)


def test_a_dead_peers_open_transaction_is_taken_from_it(world: World) -> None:
    # With a classic session of 6 s: the transaction itself would last 15 s.
    with world.watch() as watch, world.serve("b", *CHECKPOINTS) as successor:
        with world.feed() as feed, world.serve("a", *CHECKPOINTS, die_at="offsets:20") as peer:
            assert peer.wait() == -signal.SIGKILL, peer.log.read_text()
            died = time.monotonic()

            until(world, "the successor serves everything", lambda: len(live(successor)) == PARTITIONS)

            took = time.monotonic() - died
            assert took < 14, f"{took:.1f} s\n{world.logs()}"
            assert f"{world.output}-a" in [line["writer"] for line in successor.said("fencing_a_predecessor")]
        predicted(world, watch, feed.sent)
    world.check(events=feed.sent)
