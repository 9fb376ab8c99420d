"""What is asked of the loop is answered between its turns, a slice at a time; here a test is the loop."""

import threading
import time

import pytest

from stream.desk import MOST, STOPPING, Desk, Errand, Unanswered


def test_an_errand_is_worked_off_over_turns_on_the_loops_thread_alone() -> None:
    desk, threads, clock = Desk(), [], iter(range(1000))
    desk._clock = lambda: float(next(clock))

    def errand() -> Errand[str]:
        for _ in range(3):
            threads.append(threading.current_thread())
            yield
        return "done"

    answers: list[str] = []
    asker = threading.Thread(target=lambda: answers.append(desk.run(errand(), 100)))
    asker.start()
    while not desk.waiting:
        time.sleep(0.001)
    turns = 0
    while desk.waiting:
        desk.turn(0.5)  # less than a slice takes, by that clock
        turns += 1
    asker.join(10)
    assert (answers, turns) == (["done"], 4)
    assert set(threads) == {threading.current_thread()}


def test_long_errands_do_not_keep_short_ones_waiting() -> None:
    desk, order = Desk(), []

    def errand(name: str, slices: int) -> Errand[None]:
        for _ in range(slices):
            yield
        order.append(name)

    def ask(name: str, slices: int) -> threading.Thread:
        before = len(desk._waiting)
        asker = threading.Thread(target=lambda: desk.run(errand(name, slices), 60))
        asker.start()
        while len(desk._waiting) == before:
            time.sleep(0.001)
        return asker

    askers = [ask("long", 1000), ask("short", 1)]
    while desk.waiting:
        desk.turn(0.001)
    for asker in askers:
        asker.join(10)
    assert order == ["short", "long"]


def test_an_errand_that_fails_costs_the_loop_nothing() -> None:
    desk = Desk()

    def errand() -> Errand[None]:
        yield
        raise ValueError("of its own")

    failures: list[BaseException] = []

    def ask() -> None:
        try:
            desk.run(errand(), 60)
        except ValueError as error:
            failures.append(error)

    asker = threading.Thread(target=ask)
    asker.start()
    while not desk.waiting:
        time.sleep(0.001)
    desk.turn(1.0)
    asker.join(10)
    assert str(failures[0]) == "of its own"


def test_a_loop_that_does_not_come_round_is_told_in_one_line_and_the_errand_never_runs() -> None:
    desk, ran = Desk(), []

    def errand() -> Errand[None]:
        ran.append(1)
        yield

    with pytest.raises(Unanswered, match=r"^the loop gave no answer within 0\.01 s"):
        desk.run(errand(), 0.01)
    desk.turn(1.0)
    assert (ran, desk.waiting) == ([], False)


def test_whoever_waits_when_the_loop_ends_is_told_so_and_so_is_who_comes_later() -> None:
    desk, told = Desk(), []

    def errand() -> Errand[None]:
        yield

    def ask() -> None:
        try:
            desk.run(errand(), 60)
        except Unanswered as error:
            told.append(str(error))

    asker = threading.Thread(target=ask)
    asker.start()
    while not desk.waiting:
        time.sleep(0.001)
    desk.close()
    asker.join(10)
    ask()
    assert told == [STOPPING, STOPPING]


def test_only_so_many_may_wait() -> None:
    desk = Desk()

    def errand() -> Errand[None]:
        yield

    def ask() -> None:
        with pytest.raises(Unanswered):
            desk.run(errand(), 60)

    askers = [threading.Thread(target=ask) for _ in range(MOST)]
    for asker in askers:
        asker.start()
    while len(desk._waiting) < MOST:
        time.sleep(0.001)
    with pytest.raises(Unanswered, match=f"^{MOST} questions wait"):
        desk.run(errand(), 60)
    desk.close()
    for asker in askers:
        asker.join(10)
