"""A question to several workers: each is asked, those that answer in time are heard, and nothing else waits for it."""

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

import pytest

from stream.child import LARGEST, Asked, Report, Task, Told
from stream.errors import EnvironmentFault
from stream.fleet import Fleet
from stream.gathering import Gatherings
from stream.inquiries import Browse, Describe, Described, Find, Inquiry, Listed, Overlooked, Overview, Stream
from tests.service import ROOT, eventually
from tests.unit.test_supervisor import fleet

ANSWERS = """
from stream.child import Told
from stream.inquiries import *
report()
while True:
    if pipe.poll(0.1):
        asked = pipe.recv()
        answer = {answer}
        if answer != "nothing":
            pipe.send(Told(asked.number, answer))
    report()
"""


class Asking:
    """A fleet that runs on the main thread, and a thread that asks it once `ready`, then stops it."""

    def __init__(self, service: Fleet, talking: int, *inquiries: Inquiry) -> None:
        self.service, self.inquiries = service, inquiries
        self.answers: list[Any] = []
        self.took: list[float] = []
        thread = threading.Thread(target=self._ask, args=(talking,))
        thread.start()
        service.run()
        thread.join()

    def _ask(self, talking: int) -> None:
        try:
            heard = lambda: sum(p.report is not None for p in self.service._places) >= talking  # noqa: E731
            eventually("the workers report", heard)
            for inquiry in self.inquiries:
                began = time.monotonic()
                self.answers.append(self.service.ask(inquiry))
                self.took.append(time.monotonic() - began)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)


def test_each_worker_answers_and_is_named_where_that_matters(tmp_path: Path) -> None:
    program = ANSWERS.format(
        answer="Described(str(n), {}) if asked.inquiry == Describe() else Overlooked((), n, 0, ())"
    )
    asking = Asking(fleet(tmp_path, program), 2, Describe(), Overview())
    assert asking.answers == [
        [Described("1", {}), Described("2", {})],
        [Overlooked((), 1, 0, (), worker=1), Overlooked((), 2, 0, (), worker=2)],
    ]


def test_a_worker_that_says_nothing_cannot_be_asked_yet_or_dies_is_left_out(tmp_path: Path) -> None:
    # Given: of five workers one that answers, one that never does, one that cannot yet, one that dies when it is asked,
    # and one that has not said a word
    program = "if n == 5: wait_for_sigterm()\n" + ANSWERS.format(
        answer="{1: Described('1', {}), 2: 'nothing', 3: None}[n] if n < 4 else os.kill(os.getpid(), 9)"
    )
    service = fleet(tmp_path, program, workers=5)
    service._gatherings = Gatherings(patience=4.0)
    asking = Asking(service, 4, Describe())
    assert asking.answers == [[Described("1", {})]]
    assert asking.took[0] >= 4


def test_nobody_waits_for_a_worker_that_has_died(tmp_path: Path) -> None:
    program = ANSWERS.format(answer="Described('1', {}) if n == 1 else os.kill(os.getpid(), 9)")
    service = fleet(tmp_path, program)
    service._gatherings = Gatherings(patience=60.0)
    asking = Asking(service, 2, Describe())
    assert asking.answers == [[Described("1", {})]]
    assert asking.took[0] < 30


def test_nobody_waits_any_more_once_the_workers_are_ended_by_force(tmp_path: Path) -> None:
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    service = fleet(tmp_path, deaf + ANSWERS.format(answer="'nothing'"), stop=0.5)
    service._gatherings = Gatherings(patience=600.0)

    def ask() -> list[Any]:
        eventually("the workers report", lambda: all(p.report is not None for p in service._places))
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
        return service.ask(Describe())

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask)
        with pytest.raises(EnvironmentFault, match="ended by force"):
            service.run()
        assert asked.result(60) == []


def test_a_worker_that_has_been_silent_for_a_while_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.fleet.SILENT", -1.0)
    service = fleet(tmp_path, ANSWERS.format(answer="Described(str(n), {})"))
    service._gatherings = Gatherings(patience=60.0)
    asking = Asking(service, 2, Describe())
    assert asking.answers == [[]]
    assert asking.took[0] < 30


def test_a_long_answer_comes_whole_and_a_question_too_long_for_the_pipe_is_not_asked(tmp_path: Path) -> None:
    streams = tuple(Stream(b"%07d" % i * 100, 0, i, i, i) for i in range(1000))
    answer = "Listed(tuple(Stream(b'%07d' % i * 100, 0, i, i, i) for i in range(1000)), False)"
    service = fleet(tmp_path, ANSWERS.format(answer=answer))
    service._gatherings = Gatherings(patience=60.0)
    asking = Asking(service, 2, Browse(), Find(bytes(LARGEST)))
    assert asking.answers == [[Listed(streams, False)] * 2, []]


# The worker's end.

WORKER = """
import sys, threading, time
sys.path.insert(0, {root!r})
from prometheus_client import CollectorRegistry
from stream.child import Parent, Standing
from stream.inquiries import *

class Worker:
    partitions, reached, working, standing = 4, frozenset(), False, Standing.READY
    def idle_seconds(self): return 0.0

def answer(inquiry):
    if isinstance(inquiry, Find):
        time.sleep(3600)
    if isinstance(inquiry, Browse):
        raise ZeroDivisionError
    return Described("a", {{}})

parent = Parent(int(sys.argv[1]), CollectorRegistry())
{more}
time.sleep(3600)
"""


class Watched:
    """A worker's process, seen from the other end of its pipe."""

    def __init__(self, more: str) -> None:
        self.pipe, theirs = Pipe()
        program = WORKER.format(root=str(ROOT), more=more)
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, str(theirs.fileno())], pass_fds=[theirs.fileno()], stderr=subprocess.DEVNULL
        )
        theirs.close()
        self.pipe.send(Task(1, {}, terminal=False, report_every=0.1))

    def __enter__(self) -> "Connection[Any, Any]":
        return self.pipe

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(10)
        self.pipe.close()


def until(pipe: "Connection[Any, Any]", kind: type, timeout: float = 60.0) -> Any:
    """The next message of a kind."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if pipe.poll(0.1) and isinstance(message := pipe.recv(), kind):
            return message
    raise AssertionError(f"no {kind.__name__} within {timeout:g} s")


def test_a_worker_that_is_only_starting_says_that_it_cannot_be_asked() -> None:
    with Watched("") as pipe:
        pipe.send(Asked(1, Describe()))
        assert until(pipe, Told) == Told(1, None)


def test_a_process_does_not_end_under_an_answer_that_is_worked_out() -> None:
    more = """
begun = threading.Event()
def slowly(inquiry):
    begun.set()
    threading.main_thread().join()
    time.sleep(0.2)
    return answer(inquiry)
parent.show(Worker(), slowly)
begun.wait(60)
sys.exit()
"""
    with Watched(more) as pipe:
        until(pipe, Report)
        pipe.send(Asked(1, Describe()))
        assert until(pipe, Told) == Told(1, Described("a", {}))


def test_neither_questions_without_end_nor_answers_that_take_long_or_fail_hold_up_a_report() -> None:
    with Watched("parent.show(Worker(), answer)") as pipe:
        until(pipe, Report)
        pipe.send(Asked(1, Find(b"takes an hour")))
        pipe.send(Asked(2, Browse()))
        assert until(pipe, Told) == Told(2, None)
        numbers = itertools.count(3)
        heard = {Report: 0, Told: 0}
        deadline = time.monotonic() + 60
        while min(heard.values()) < 5:
            assert time.monotonic() < deadline, heard
            pipe.send(Asked(next(numbers), Describe()))
            heard[type(pipe.recv())] += 1
