"""The log: lines for people or for machines, and none that repeats at the rate of what goes wrong."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from stream import logs
from stream.repeats import KEYS, MOST, WHILE, Repeats
from tests.service import ROOT


class World:
    """A clock, what is to be done later, and what was told."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.due: list[tuple[float, Callable[[], None]]] = []
        self.told: list[tuple[str, int]] = []
        self.repeats = Repeats(
            lambda: self.now,
            lambda seconds, call: self.due.append((self.now + seconds, call)),
            lambda event, count: self.told.append((event, count)),
        )

    def passes(self, event: str, method: str = "warning", **fields: Any) -> bool:
        try:
            self.repeats(None, method, {"event": event, **fields})
        except structlog.DropEvent:
            return False
        return True

    def wait(self, seconds: float) -> None:
        """Time passes, and what was to be done meanwhile is done."""
        self.now += seconds
        due, self.due = [d for d in self.due if d[0] <= self.now], [d for d in self.due if d[0] > self.now]
        for _, call in due:
            call()


@pytest.fixture
def world() -> World:
    return World()


def test_of_lines_that_say_the_same_the_first_few_are_told_and_then_how_many_more(world: World) -> None:
    assert [world.passes("away") for _ in range(100)] == [True] * MOST + [False] * (100 - MOST)
    assert world.told == []
    world.wait(WHILE)
    assert world.told == [("away", 100 - MOST)]
    # the next while begins anew
    assert world.passes("away")
    world.wait(WHILE)
    assert len(world.told) == 1


def test_what_is_rare_is_told_always(world: World) -> None:
    for _ in range(100):
        assert world.passes("away")
        world.wait(WHILE / MOST)
    assert world.told == []


def test_the_end_of_a_while_is_told_once_although_a_line_comes_before_its_timer(world: World) -> None:
    for _ in range(MOST + 3):
        world.passes("away")
    world.now += WHILE + 1
    assert world.passes("away")
    assert world.told == [("away", 3)]
    world.wait(0)
    assert world.told == [("away", 3)]


def test_the_same_of_another_code_partition_or_worker_is_another_line(world: World) -> None:
    for partition in range(50):
        assert world.passes("halted", partition=partition)
    for _ in range(MOST):
        assert world.passes("dead_letter", code="not_json", partition=3)
    assert not world.passes("dead_letter", code="not_json", partition=4)
    assert world.passes("dead_letter", code="no_key", partition=3)
    for worker in (1, 2):
        assert [world.passes("worker_died", worker=worker) for _ in range(MOST + 1)] == [True] * MOST + [False]


@pytest.mark.parametrize("method", ["debug", "info"])
def test_what_is_no_warning_is_not_counted(world: World, method: str) -> None:
    assert all(world.passes("live", method) for _ in range(1000))


def test_of_another_librarys_lines_those_are_the_same_where_only_numbers_differ(world: World) -> None:
    def record(text: str, *args: object) -> bool:
        return world.repeats.filter(logging.LogRecord("uvicorn.error", logging.ERROR, "", 0, text, args, None))

    assert [record("client %d left", n) for n in range(20)] == [True] * MOST + [False] * (20 - MOST)
    assert [record(f"<object at 0x7f{n:x}c>") for n in range(20)] == [True] * MOST + [False] * (20 - MOST)
    assert record("another line")
    world.wait(WHILE)
    assert world.told == [(f"uvicorn.error: {line}", 20 - MOST) for line in ("client 0 left", "<object at 0>")]


def test_what_was_not_told_yet_is_told_at_the_end(world: World) -> None:
    for _ in range(MOST + 7):
        world.passes("away")
    world.repeats.sum_up()
    world.wait(WHILE)
    assert world.told == [("away", 7)]


def test_its_memory_is_bounded(world: World) -> None:
    for n in range(10 * KEYS):
        world.passes("halted", partition=n)
        world.wait(WHILE / KEYS * 2)
    assert len(world.repeats._seen) <= KEYS + 1


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], io.StringIO]]:
    """configured(form) -> where its lines go."""
    handlers = logging.getLogger().handlers[:]

    def configure(form: str) -> io.StringIO:
        out = io.StringIO()
        monkeypatch.setattr(sys, "stderr", out)
        logs.configure("info", form, terminal=False)
        return out

    yield configure
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = handlers


def test_machines_get_one_object_a_line_with_level_and_time(configured: Callable[[str], io.StringIO]) -> None:
    out = configured("json")
    structlog.get_logger().warning("broker_is_away", reason='a "quoted"\nreason')
    logging.getLogger("some.library").error("failed %d times", 3)
    first, second = (json.loads(line) for line in out.getvalue().splitlines())
    assert first.pop("timestamp").endswith("Z")
    assert first == {"event": "broker_is_away", "level": "warning", "reason": 'a "quoted"\nreason'}
    assert (second["event"], second["level"]) == ("failed 3 times", "error")


def test_people_get_a_line_to_read(configured: Callable[[str], io.StringIO]) -> None:
    out = configured("console")
    structlog.get_logger().info("live", partition=3)
    (line,) = out.getvalue().splitlines()
    assert "live" in line
    assert "partition=3" in line
    assert "\x1b" not in line  # no colours where no terminal is


def test_a_process_that_ends_says_what_it_has_not_told() -> None:
    program = (
        "import structlog; from stream import logs; logs.configure('info', 'json')\n"
        "for n in range(1000): structlog.get_logger().warning('away', n=n)"
    )
    found = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in found.stderr.splitlines()]
    assert [line["n"] for line in lines[:-1]] == list(range(MOST))
    assert (lines[-1]["event"], lines[-1]["what"], lines[-1]["times"]) == ("suppressed", "away", 1000 - MOST)
