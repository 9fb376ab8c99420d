"""The loop beside another owner: what it has of a partition that went ends with it, and what was asked before, too."""

import itertools
from typing import Any
from unittest import mock

import pytest

from engine.step import Engine
from tests.lives import PLAIN, Life, Visit, correct, expected, fill, filled, live, model, numbers, same, told
from tests.memory import Cluster, Fetcher, Memory

pytestmark = pytest.mark.usefixtures("silence")

SLOWLY: dict[str, Any] = {"delivery": {"commit_interval": 0.05}, "state": {"checkpoint_interval": 50}, "most": 3}

QUICKLY: dict[str, Any] = {**SLOWLY, "state": {"checkpoint_interval": 0.3}}


def worked_on() -> Cluster:
    """Two partitions with state, and events that nobody has seen yet."""
    cluster = filled(2, list(numbers(40)))
    live(cluster, 2, Life(), SLOWLY)
    fill(cluster, 2, list(numbers(30)))
    return cluster


def finished(cluster: Cluster) -> None:
    """Whoever comes last goes to the end, and then all is as it must be."""
    live(cluster, 2, Life(), SLOWLY)
    correct(cluster, 2)


@pytest.mark.parametrize("delays", [(), (1,), (2,), (4,)], ids=str)
@pytest.mark.parametrize("back", [0, 2])
@pytest.mark.parametrize("what", ["revoked", "lost"])
def test_an_answer_about_a_partition_that_went_meanwhile_says_nothing_of_it_when_it_is_back(
    what: str, back: int, delays: tuple[int, ...]
) -> None:
    begun = worked_on()
    for poll in range(2, 8):
        cluster = same(begun)
        visit = Visit(what, share=1, heard=0, back=back, turns=150)
        live(cluster, 2, Life({("poll", poll): visit}, delays), SLOWLY)
        finished(cluster)


@pytest.mark.parametrize("delays", [(), (2,)], ids=str)
@pytest.mark.parametrize("heard", [1, 3])
def test_a_restore_that_reads_what_another_wrote_before_it_hears_that_it_lost_the_partition_does_not_end_the_process(
    heard: int, delays: tuple[int, ...]
) -> None:
    begun = worked_on()
    for poll in range(2, 8):
        cluster = same(begun)
        visit = Visit("lost", share=1, heard=heard, back=1, turns=150)
        live(cluster, 2, Life({("poll", poll): visit}, delays), SLOWLY)
        finished(cluster)


def test_an_answer_that_was_left_lying_while_nothing_was_loaded_is_not_taken_for_a_new_one() -> None:
    begun = worked_on()
    for poll in range(2, 8):
        cluster = same(begun)
        # All partitions go, so nobody looks at the answer before they are back.
        life = Life({("poll", poll): Visit("revoked", share=2, heard=0, back=4, turns=150)}, (2,))
        live(cluster, 2, life, SLOWLY)
        finished(cluster)


def test_a_commit_for_a_partition_that_is_asked_for_leaves_out_one_that_was_lost_before_it_in_the_same_poll() -> None:
    begun = worked_on()
    for poll in range(3, 20):
        cluster = same(begun)
        live(cluster, 2, Life({("poll", poll): "both"}), SLOWLY)
        finished(cluster)


@pytest.mark.parametrize("heard", [0, 1, 4])
@pytest.mark.parametrize("what", ["revoked", "lost"])
def test_a_partition_that_goes_while_a_failure_is_mended_is_in_no_commit_any_more(what: str, heard: int) -> None:
    begun = worked_on()
    for step in range(12, 60, 3):
        cluster = same(begun)
        # Fenced: it looks at its consumer for a while, which are polls in which partitions go. They leave rows behind
        # that have waited long enough to be written.
        life = Life({step: ("fenced", Visit(what, share=1, heard=heard, back=6, turns=150))})
        live(cluster, 2, life, QUICKLY)
        finished(cluster)


@pytest.mark.parametrize("what", ["revoked", "lost"])
def test_a_partition_that_goes_with_a_failure_is_not_named_to_the_consumer_any_more(what: str) -> None:
    seldom = {**SLOWLY, "delivery": {"commit_interval": 1}}
    begun = worked_on()
    for poll in range(6, 14):
        cluster = same(begun)
        # Its events are not committed yet: those that are lost must be put back, the commit of a revocation fails.
        life = Life({("poll", poll): ("fenced", Visit(what, share=1, heard=0, back=3, turns=150))})
        live(cluster, 2, life, seldom)
        assert life.memory is not None
        assert life.memory.the_source is not None
        assert life.memory.the_source.strangers == [], f"gone in poll {poll}"
        finished(cluster)


@pytest.mark.parametrize("fault", ["crash", "fail", "fenced", "away"])
def test_whatever_becomes_of_another_owner_its_work_is_neither_lost_nor_done_twice(fault: str) -> None:
    begun = worked_on()
    for step in range(5, 60, 4):
        cluster = same(begun)
        visit = Visit("revoked", share=2, heard=0, back=1, turns=150, faults=((step, fault),))
        live(cluster, 2, Life({("poll", 12): visit}), SLOWLY)
        finished(cluster)


@pytest.mark.parametrize("tells", [False, True], ids=["refused", "generation over"])
def test_a_process_that_froze_past_its_session_commits_nothing_of_what_it_had_in_hand(tells: bool) -> None:
    begun = worked_on()
    for step in range(10, 60, 2):
        cluster = same(begun)
        life = Life({step: Visit("lost", share=2, heard=2, back=1, turns=150)}, tells_generations=tells)
        live(cluster, 2, life, SLOWLY)
        finished(cluster)


@pytest.mark.parametrize("tells", [False, True], ids=["refused", "generation over"])
def test_a_group_that_goes_on_without_a_member_takes_no_offsets_of_it_until_it_has_heard(tells: bool) -> None:
    def elsewhere(memory: Memory) -> None:
        memory.cluster.generation += 1

    begun = worked_on()
    for commit in range(1, 5):
        cluster = same(begun)
        life = Life({("offsets", commit): elsewhere}, tells_generations=tells)
        live(cluster, 2, life, SLOWLY)
        assert life.counts["connect"] == (1 if tells else 2)
        finished(cluster)


def test_a_consumer_that_fenced_itself_joins_again_and_goes_on() -> None:
    cluster = filled(2, [(i % 2, i % 3, PLAIN) for i in range(40)])
    for poll in range(2, 12):
        again = same(cluster)
        live(again, 2, Life({("poll", poll): "taken"}), SLOWLY)
        finished(again)


@pytest.mark.parametrize("heard", [3, 8])
def test_a_restore_that_has_read_only_a_part_of_anothers_transaction_does_not_end_the_process(heard: int) -> None:
    begun = worked_on()
    for poll in range(2, 16):
        cluster = same(begun)
        visit = Visit("lost", share=1, heard=heard, back=1, turns=150)
        # Two records of the changelog in a turn.
        with mock.patch("stream.state.restore.time") as time:
            time.perf_counter.side_effect = itertools.count(0, 0.015).__next__
            live(cluster, 2, Life({("poll", poll): visit}), SLOWLY, engine=Engine(model(), 10))
        finished(cluster)


def test_live_partitions_go_on_while_another_is_loaded() -> None:
    cluster = worked_on()
    polled = Fetcher.poll
    done: list[list[bool]] = []
    polls = itertools.count()

    def slowly(fetcher: Fetcher, most: int, timeout: float) -> Any:
        """The changelog of partition 1 stands still at first."""
        if fetcher.topic != "state" or 1 not in fetcher.at or next(polls) > 60:
            return polled(fetcher, most, timeout)
        fetcher.paused.add(1)
        try:
            return polled(fetcher, most, timeout)
        finally:
            fetcher.paused.discard(1)
            done.append([told(cluster, p) == expected(cluster, p) for p in (0, 1)])

    with mock.patch.object(Fetcher, "poll", slowly):
        live(cluster, 2, Life(), SLOWLY)
    assert done[-1] == [True, False], "partition 0 is worked off before 1 is loaded"
    correct(cluster, 2)
