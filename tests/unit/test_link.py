"""Whether this process was away for so long that another may have taken its slot."""

from typing import Any

import pytest

from stream.broker.port import Identity, Records
from stream.errors import Unavailable
from stream.link import Access, Link

SESSION = 10.0


class Sleepy:
    """A client, and its source, whose polls take as long as the test says."""

    def __init__(self) -> None:
        self.now = 0.0
        self.takes = 0.0
        self.broker = True

    def source(self, *_: Any, **__: Any) -> "Sleepy":
        return self

    def subscribe(self, _: Any) -> None:
        pass

    def poll(self, *_: Any) -> list[Records]:
        self.now += self.takes
        if not self.broker:
            raise Unavailable("no broker")
        return []


@pytest.fixture
def sleepy() -> Sleepy:
    return Sleepy()


@pytest.fixture
def link(sleepy: Sleepy) -> Link:
    access = Access(
        sleepy, Identity("", "app", "app-a", {}), "in", "state", 1, 1, 1,  # type: ignore[arg-type]
        exactly_once=True, session_timeout=SESSION, broker_timeout=1000,
    )  # fmt: skip
    made = Link(access, lambda: sleepy.now, lambda: False)
    made.join(None)  # type: ignore[arg-type]
    return made


def test_a_process_that_polls_is_not_away(link: Link, sleepy: Sleepy) -> None:
    for _ in range(5):
        sleepy.takes = SESSION * 0.9
        link.poll(1, 0)
        assert not link.away


def test_who_slept_in_a_poll_was_away_until_a_commit_proves_its_slot(link: Link, sleepy: Sleepy) -> None:
    sleepy.takes = SESSION * 3
    link.poll(1, 0)
    sleepy.takes = 0.1
    link.poll(1, 0)
    assert link.away
    link.proven()
    assert not link.away


def test_who_slept_between_two_polls_is_away(link: Link, sleepy: Sleepy) -> None:
    link.poll(1, 0)
    sleepy.now += SESSION * 1.1
    assert link.away
    link.poll(1, 0)
    assert link.away


def test_who_finds_no_broker_is_away(link: Link, sleepy: Sleepy) -> None:
    sleepy.takes, sleepy.broker = SESSION * 0.6, False
    link.poll(1, 0)
    assert not link.away
    link.poll(1, 0)
    assert link.away


def test_a_poll_that_finds_no_broker_a_wait_for_one_and_an_answer_each_say_so(link: Link, sleepy: Sleepy) -> None:
    assert link.answers
    sleepy.broker = False
    link.poll(1, 0)
    assert not link.answers
    sleepy.now += 30
    assert link.silent == 30

    # A client that is back delivers nothing for a while: that alone is no answer.
    sleepy.broker = True
    link.poll(1, 0)
    assert not link.answers
    link.proven()
    assert link.answers
    assert link.silent == 0


def test_who_waits_for_a_broker_with_patience_is_not_stuck_however_long_it_takes(link: Link, sleepy: Sleepy) -> None:
    tries, stills = [], []

    def call() -> str:
        stills.append(sleepy.now - link.patient_at)
        sleepy.now += 10  # a question's own deadline
        tries.append(link.answers)
        if len(tries) < 30:
            raise Unavailable("no broker")
        return "there"

    sleepy.takes = 1.0  # of a pause
    assert link.patiently(call) == "there"
    assert sleepy.now > 300
    assert tries == [True] + [False] * 29
    assert max(stills) <= 1.0
