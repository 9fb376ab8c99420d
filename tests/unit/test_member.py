"""A worker with siblings, under --until-end: it stays at its end until all are done, and works on what comes."""

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from unittest import mock

import pytest

from stream.assembly import assemble
from stream.member import Member
from tests import lives
from tests.lives import correct, filled, numbers, told
from tests.memory import Cluster, Memory

pytestmark = pytest.mark.usefixtures("silence")


def run(cluster: Cluster, released: Callable[[Member], bool], share: Sequence[int] = (0,)) -> Member:
    """One that has these of two partitions at first, from its start to its end."""
    memory = Memory(cluster, 2)
    memory.share = list(share)
    make = partial(Member, released=lambda: released(member))
    with (
        mock.patch("tests.lives.assemble", partial(assemble, make=make)),
        mock.patch("stream.link.time"),
    ):
        member = lives.worker(memory, {"delivery": {"commit_interval": 0.05}})
        assert isinstance(member, Member)
        member.run()
    return member


def test_a_partition_that_comes_after_the_end_of_the_others_is_worked_off() -> None:
    # Given: its own partition has reached its end when the other one is given to it
    cluster, seen = filled(2, list(numbers(40))), []

    def released(member: Member) -> bool:
        if member.reached and not seen:
            seen.append(member.reached)
            member._link.source.rebalance("assigned", [1])  # type: ignore[attr-defined]
        return len(member.reached) == 2

    member = run(cluster, released)

    assert seen == [{0}]
    assert member.reached == {0, 1}
    correct(cluster, 2)


def test_what_it_says_it_has_reached_is_committed() -> None:
    cluster, counts = filled(2, list(numbers(40))), []

    def released(member: Member) -> bool:
        if member.reached:
            counts.append(len(told(cluster, 0)))
        return bool(member.reached)

    run(cluster, released)
    assert set(counts) == {len(lives.expected(cluster, 0))}


def test_a_release_does_not_end_one_that_has_work() -> None:
    cluster = filled(2, list(numbers(40)))
    run(cluster, lambda member: bool(member._group.partitions))
    assert told(cluster, 0) == lives.expected(cluster, 0)


def test_a_release_ends_one_that_has_nothing() -> None:
    looks = itertools.count()
    member = run(filled(2, list(numbers(40))), lambda _: next(looks) > 3, share=[])
    assert (member.working, member.reached) == (False, frozenset())
