"""A worker with siblings: it stays while others work, under --until-end at its own end, and says how it stands."""

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from unittest import mock

import pytest

from stream.assembly import assemble
from stream.child import Standing
from stream.errors import EnvironmentFault
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


def test_one_whose_partitions_are_all_halted_stays_for_others_and_complains_at_its_end() -> None:
    # Given: the changelog of its only partition is damaged; another partition is given to it later
    cluster, seen = filled(2, list(numbers(40))), []
    cluster.produce("state", 0, b"m", b"{", 0)

    def released(member: Member) -> bool:
        if member.standing is Standing.HALTED and not seen:
            seen.append(member.reached)
            member._link.source.rebalance("assigned", [1])  # type: ignore[attr-defined]
        return len(member.reached) == 2

    with pytest.raises(EnvironmentFault, match=r"^state \[0\], offset 0: "):
        run(cluster, released)

    assert seen == [{0}]
    assert told(cluster, 0) == []
    assert told(cluster, 1) == lives.expected(cluster, 1)


def test_it_tells_nothing_here_from_on_the_way_and_from_ready() -> None:
    cluster, stood = filled(2, list(numbers(40))), list[Standing]()

    def released(member: Member) -> bool:
        if stood[-1:] != [member.standing]:
            stood.append(member.standing)
            if member.standing is Standing.EMPTY:
                member._link.source.rebalance("assigned", [0])  # type: ignore[attr-defined]
        return member.standing is Standing.READY

    member = run(cluster, released, share=[])

    assert stood == [Standing.ON_THE_WAY, Standing.EMPTY, Standing.ON_THE_WAY, Standing.READY]
    assert member.reached == {0}
