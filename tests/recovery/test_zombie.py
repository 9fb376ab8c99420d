"""An instance that was frozen past its session, and wakes: what it holds is never seen, and nobody is fenced back."""

import signal

from tests.recovery.world import CHECKPOINTS, World, fenced, held, live, predicted, progress, shared, until

ALL = {0, 1, 2, 3}


def test_a_zombie_whose_partitions_moved_publishes_nothing_and_joins_again(modern: World) -> None:
    world = modern
    with world.serve("a", *CHECKPOINTS) as zombie, world.serve("b", *CHECKPOINTS) as other, world.watch() as watch:
        with world.feed() as feed:
            shared(world, zombie, other)
            progress(world, watch)

            zombie.process.send_signal(signal.SIGSTOP)
            until(world, "the other serves everything", lambda: live(other) == ALL)
            progress(world, watch)
            zombie.process.send_signal(signal.SIGCONT)

            until(world, "the zombie knows that it lost them", lambda: zombie.said("partitions_lost"))
            shared(world, zombie, other)
            progress(world, watch)
        predicted(world, watch, feed.sent)
        assert zombie.process.poll() is None
        assert not fenced(other), world.logs()
    world.check(events=feed.sent)


def test_a_zombie_whose_slot_was_taken_ends_with_one_line_and_fences_nobody(modern: World) -> None:
    world = modern
    with world.serve("a", *CHECKPOINTS) as zombie, world.watch() as watch, world.feed() as feed:
        until(world, "the first is at work", lambda: live(zombie) == ALL)
        progress(world, watch)

        zombie.process.send_signal(signal.SIGSTOP)
        with world.serve("a", *CHECKPOINTS) as successor:
            until(world, "another process has its slot", lambda: live(successor) == ALL)
            progress(world, watch)
            zombie.process.send_signal(signal.SIGCONT)

            assert zombie.wait() == 1, world.logs()
            told = [line for line in zombie.log.read_text().splitlines() if not line.startswith("{")]
            assert len(told) == 1, told
            assert "another process runs as" in told[0]
            progress(world, watch)
            assert successor.process.poll() is None
            assert held(successor) == [ALL]
            assert not successor.said("transaction_lost"), world.logs()
            successor.terminate()
            assert successor.wait() == 0
    world.drain("a", *CHECKPOINTS)
    world.check(events=feed.sent)
