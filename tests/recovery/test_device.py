"""Rows on a device, which is the processor, through kill -9 and restores: the bits of one event at a time."""

import signal
from collections.abc import Callable
from pathlib import Path

from engine.model import Model
from localbroker.broker import LocalBroker
from stream.state.changelog import MARKER
from stream.topics import changelog_name
from tests.conftest import Elsewhere
from tests.recovery.world import CHECKPOINTS, PARTITIONS, World, live, until
from tests.service import read

BANKED = ("--provider", "cpu-banked", *CHECKPOINTS)


def test_rows_on_a_device_go_to_the_changelog_and_come_back_from_it(
    kafka: LocalBroker | Elsewhere, make_topic: Callable[..., str], tmp_path: Path
) -> None:
    world = World(kafka.bootstrap_servers, make_topic(partitions=PARTITIONS), tmp_path, "confluent", session=10.0)
    changelog = changelog_name(world.output, Model(world.model).fingerprint)

    def checkpointed() -> set[bytes]:
        return {r.key for r in read(world.servers, changelog) if r.key != MARKER}

    with world.feed() as feed:
        for point in ("state:4", "committed:3"):
            with world.serve("a", *BANKED, die_at=point) as service:
                assert service.wait() == -signal.SIGKILL, service.log.read_text()
        with world.serve("a", *BANKED) as service:
            until(world, "every stream has a row in the changelog", lambda: len(checkpointed()) == 40)
            service.kill()
        with world.serve("a", *BANKED) as service:
            until(world, "all is restored", lambda: len(live(service)) == PARTITIONS)
            service.kill()
        with world.serve("a", *CHECKPOINTS) as service:  # another provider, the same bits
            until(world, "all is restored", lambda: len(live(service)) == PARTITIONS)
            assert not service.said("bits_may_differ_from_here_on")
            service.kill()
    world.drain("a", *BANKED)
    world.check("exactly_once", feed.sent)
