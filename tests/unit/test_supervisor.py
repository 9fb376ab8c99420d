"""Several workers under one parent: how they are started, started again, released, stopped and shown. Here the workers
are small programs that do as a test says."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from stream.child import Task
from stream.configuration import load
from stream.errors import EnvironmentFault, UsageError
from stream.fleet import Fleet, pause
from stream.metrics import Merged
from stream.supervisor import tasks
from tests import web
from tests.service import ROOT, wait_for

TOPICS = {("kafka", "input_topic"): "in", ("kafka", "output_topic"): "out"}

# `n`: which worker this is; `life`: how many times it was started before; `pipe`: to the parent; `place`: a folder.
WORKER = """
import os, signal, sys, time
from multiprocessing.connection import Connection
from pathlib import Path
sys.path.insert(0, {root!r})
from stream.child import Release, Report, Standing
place, pipe = Path({place!r}), Connection(int(sys.argv[1]))
n = pipe.recv().number
life = len(list(place.glob(f"{{n}}-life-*")))
(place / f"{{n}}-life-{{life}}").touch()

def report(*reached, working=False, standing="READY"):
    pipe.send(Report(0.0, Standing[standing], 2, frozenset(reached), working, []))

def fail(line, code=1):
    print("statecast: " + line, file=sys.stderr)
    sys.exit(code)

def wait_for_sigterm():
    signal.pause()

def stopped(*_):
    (place / f"{{n}}-stopped").touch()
    sys.exit(0)
signal.signal(signal.SIGTERM, stopped)
(place / f"{{n}}-up-{{life}}").touch()
"""


def fleet(
    place: Path, program: str, workers: int = 2, stop: float = 20.0, away: float = 60.0, end: float | None = None
) -> Fleet:
    """Workers that run this program. stop, away, end: seconds."""
    script = WORKER.format(root=str(ROOT), place=str(place)) + program
    each = [Task(n, {}, terminal=False, report_every=1.0) for n in range(1, workers + 1)]
    return Fleet(each, stop, away, end, [sys.executable, "-c", script])


def lives(place: Path, number: int) -> int:
    return len(list(place.glob(f"{number}-life-*")))


def signals(place: Path, up: Sequence[str], *numbers: signal.Signals, gap: float = 0.0) -> threading.Thread:
    """Sends this process signals once these marks are there."""

    def send() -> None:
        wait_for(lambda: all((place / mark).exists() for mark in up), 20)
        for number in numbers:
            os.kill(os.getpid(), number)
            time.sleep(gap)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def test_a_worker_has_its_own_slot_its_part_of_the_memory_and_every_other_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STATECAST_KAFKA__PROPERTIES", '{"sasl.password": "secret"}')
    settings = load(
        {**TOPICS, ("delivery", "workers"): 4, ("limits", "memory_limit"): "4GiB", ("kafka", "instance_id"): "host",
         ("http", "http"): "127.0.0.1:0", ("delivery", "batch"): 7}, None,
    )  # fmt: skip
    monkeypatch.delenv("STATECAST_KAFKA__PROPERTIES")

    found = [load(task.settings, None) for task in tasks(settings)]

    assert [one.slot for one in found] == [f"statecast-in-host-{n}" for n in (1, 2, 3, 4)]
    assert {int(one.limits.memory_limit) for one in found} == {1 << 30}
    assert {one.http.http for one in found} == {""}
    assert {one.delivery.batch for one in found} == {7}
    assert found[3].kafka.properties == {"sasl.password": "secret"}
    assert settings.slot == "statecast-in-host"


def test_who_dies_again_and_again_waits_longer_each_time_and_never_long() -> None:
    assert [pause(deaths) for deaths in (1, 2, 3, 4, 5, 6, 7, 8, 100, 10_000)] == [
        0, 1, 2, 4, 8, 16, 30, 30, 30, 30,
    ]  # fmt: skip


def test_a_worker_that_is_killed_is_started_again_and_the_others_go_on(tmp_path: Path) -> None:
    # Given: worker 1 dies of a signal, and ends with an error in its second life
    program = "(life or os.kill(os.getpid(), 9), fail('enough')) if n == 1 else wait_for_sigterm()"
    with pytest.raises(EnvironmentFault, match=r"^enough$"):
        fleet(tmp_path, program).run()
    assert (lives(tmp_path, 1), lives(tmp_path, 2)) == (2, 1)


@pytest.mark.parametrize(("code", "kind"), [(1, EnvironmentFault), (2, UsageError)])
def test_an_error_that_a_start_would_meet_again_ends_all_with_its_line(
    tmp_path: Path, code: int, kind: type[Exception], capfd: pytest.CaptureFixture[str]
) -> None:
    # Given: worker 1 fails for good once worker 2 is at work
    program = f"""
if n == 1:
    while not (place / "2-up-0").exists(): time.sleep(0.01)
    fail("--option x: is wrong; mend it", {code})
wait_for_sigterm()
"""
    with pytest.raises(kind, match=r"^--option x: is wrong; mend it$"):
        fleet(tmp_path, program).run()
    assert (tmp_path / "2-stopped").exists()  # in order
    assert lives(tmp_path, 1) == 1
    assert "is wrong" not in re.sub(r".*worker_ended.*", "", "".join(capfd.readouterr()))  # the caller tells it, once


def test_who_was_well_in_one_life_and_fails_in_a_later_one_is_started_again_and_the_others_go_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # Given: worker 1 was ready when it was killed; the broker is away in its next two lives
    program = """
if n == 2: wait_for_sigterm()
if life == 0: report(); os.kill(os.getpid(), 9)
if life < 3: fail("cannot reach Kafka")
report()
wait_for_sigterm()
"""
    thread = signals(tmp_path, ["1-up-3", "2-up-0"], signal.SIGTERM)
    fleet(tmp_path, program).run()
    thread.join()
    assert (lives(tmp_path, 1), lives(tmp_path, 2)) == (4, 1)
    died = [line for line in "".join(capfd.readouterr()).splitlines() if "worker_died" in line]
    assert ["cannot reach Kafka" in line for line in died] == [False, True, True]


def test_who_does_not_come_back_within_the_broker_timeout_ends_all_with_its_line(tmp_path: Path) -> None:
    # Given: worker 1 was ready, and each of its later lives ends with an error
    program = """
if n == 2: wait_for_sigterm()
if life == 0: report(); os.kill(os.getpid(), 9)
fail("cannot reach Kafka")
"""
    with pytest.raises(EnvironmentFault, match=r"^cannot reach Kafka$"):
        fleet(tmp_path, program, away=2.5).run()
    assert lives(tmp_path, 1) > 2
    assert (tmp_path / "2-stopped").exists()


@pytest.mark.parametrize(
    ("ends", "kind"), [("life or os.kill(os.getpid(), 9); fail('x', 2)", UsageError), ("fail('x')", EnvironmentFault)]
)
def test_neither_a_usage_error_nor_an_error_in_a_first_life_is_tried_again(
    tmp_path: Path, ends: str, kind: type[Exception]
) -> None:
    # Given: worker 1 was ready
    with pytest.raises(kind, match=r"^x$"):
        fleet(tmp_path, f"n == 1 or wait_for_sigterm(); report(); {ends}").run()
    assert lives(tmp_path, 1) == (2 if kind is UsageError else 1)


def test_workers_that_can_serve_nothing_are_stopped_once_there_is_no_other(tmp_path: Path) -> None:
    # Given: worker 1 can serve none of its partitions, and worker 2, as it turns out, none either
    program = """
signal.signal(signal.SIGTERM, lambda *_: fail(f"[{n}]: damaged"))
if n == 2:
    report()
    while not (place / "1-halted").exists(): time.sleep(0.01)
report(standing="HALTED")
(place / f"{n}-halted").touch()
signal.pause()
"""
    with pytest.raises(EnvironmentFault, match=r"^\[[12]\]: damaged$"):
        fleet(tmp_path, program).run()
    assert (lives(tmp_path, 1), lives(tmp_path, 2)) == (1, 1)


def test_of_several_errors_the_first_is_told(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match=r"^of [12]$"):
        fleet(tmp_path, "fail(f'of {n}')").run()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_passed_on_and_the_end_is_clean(tmp_path: Path, number: signal.Signals) -> None:
    # Given: the signal comes twice in a row, as `timeout` and some shells send it
    thread = signals(tmp_path, ["1-up-0", "2-up-0"], number, number)
    fleet(tmp_path, "wait_for_sigterm()").run()
    thread.join()
    assert (tmp_path / "1-stopped").exists()
    assert (tmp_path / "2-stopped").exists()


def test_a_signal_that_does_not_interrupt_the_wait_is_heard(tmp_path: Path) -> None:
    # Given: the signal is handled on another thread, while the main one waits
    def send() -> None:
        wait_for(lambda: all((tmp_path / f"{n}-up-0").exists() for n in (1, 2)), 20)
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

    thread = threading.Thread(target=send)
    thread.start()
    fleet(tmp_path, "wait_for_sigterm()").run()
    thread.join()
    assert (tmp_path / "1-stopped").exists()


def test_a_worker_that_does_not_stop_in_time_is_ended_by_force(tmp_path: Path) -> None:
    program = "signal.signal(signal.SIGTERM, signal.SIG_IGN); (place / f'{n}-deaf').touch(); time.sleep(60)"
    thread = signals(tmp_path, ["1-deaf", "2-deaf"], signal.SIGTERM)
    began = time.monotonic()
    with pytest.raises(EnvironmentFault, match=r"--stop-timeout 0\.5 s; ended by force"):
        fleet(tmp_path, program, stop=0.5).run()
    thread.join()
    assert time.monotonic() - began < 20


def test_a_second_signal_ends_by_force(tmp_path: Path) -> None:
    program = "signal.signal(signal.SIGTERM, signal.SIG_IGN); (place / f'{n}-deaf').touch(); time.sleep(60)"
    thread = signals(tmp_path, ["1-deaf", "2-deaf"], signal.SIGINT, signal.SIGINT, gap=1.2)
    with pytest.raises(EnvironmentFault, match="SIGINT came before the workers had stopped; ended by force"):
        fleet(tmp_path, program, stop=60).run()
    thread.join()


def test_with_until_end_nobody_ends_before_every_partition_was_worked_off_by_somebody(tmp_path: Path) -> None:
    # Given: worker 1 has worked off partition 0; partition 1 was on its way to worker 2 meanwhile, which dies once
    program = """
if n == 1:
    report(0)
    pipe.recv()
    sys.exit(0 if (place / "worked-off").exists() else fail("was let go too early"))
report(working=True)
life or os.kill(os.getpid(), 9)
(place / "worked-off").touch()
report(1)
assert pipe.recv() is Release.ALL
"""
    fleet(tmp_path, program, end=60).run()
    assert (tmp_path / "worked-off").exists()


def test_with_until_end_partitions_of_another_process_are_not_waited_for_for_ever(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    program = """
while not pipe.poll(0.05):
    report(*[0] * (n == 1))
assert pipe.recv() is Release.ALL
"""
    fleet(tmp_path, program, end=0.3).run()
    warned = [line for line in "".join(capfd.readouterr()).splitlines() if "ended_without_partitions" in line]
    assert len(warned) == 1
    assert "[1]" in warned[0]


def test_with_until_end_a_process_that_gets_no_partition_at_all_ends(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    program = """
while not pipe.poll(0.05):
    report(standing="EMPTY")
assert pipe.recv() is Release.ALL
"""
    fleet(tmp_path, program, end=0.3).run()
    warned = [line for line in "".join(capfd.readouterr()).splitlines() if "ended_without_partitions" in line]
    assert len(warned) == 1
    assert "[0, 1]" in warned[0]


@pytest.mark.parametrize(
    ("standings", "ready"),
    [
        (("READY", "READY"), True),
        (("READY", "EMPTY"), True),
        (("EMPTY", "EMPTY"), False),
        (("READY", "ON_THE_WAY"), False),
        (("READY", "HALTED"), False),
    ],
)
def test_a_fleet_is_ready_where_something_is_live_and_nothing_on_its_way(
    tmp_path: Path, standings: tuple[str, str], ready: bool
) -> None:
    service = fleet(
        tmp_path, f"report(standing={standings}[n - 1]); (place / f'{{n}}-told').touch(); wait_for_sigterm()"
    )
    seen: list[bool] = []

    def look() -> None:
        wait_for(lambda: all((tmp_path / f"{n}-told").exists() for n in (1, 2)), 20)
        wait_for(lambda: all(p.report is not None for p in service._places), 20)
        seen.append(service.ready)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=look)
    thread.start()
    service.run()
    thread.join()
    assert seen == [ready]


def test_a_worker_that_falls_silent_does_not_count_as_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given: both say that they are ready; then only worker 2 goes on saying so
    monkeypatch.setattr("stream.fleet.SILENT", 0.5)
    program = "report()\nwhile n == 1: signal.pause()\nwhile True: time.sleep(0.05); report()"
    service = fleet(tmp_path, program)
    seen: list[bool] = []

    def look() -> None:
        seen.append(wait_for(lambda: service.ready, 20))
        seen.append(wait_for(lambda: not service.ready, 20))
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=look)
    thread.start()
    service.run()
    thread.join()
    assert seen == [True, True]


def test_lines_of_workers_never_mix_however_long_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = """
for _ in range(20):
    for part in range(10):
        sys.stderr.write(str(n) * 2000); sys.stderr.flush()
    sys.stderr.write("\\n"); sys.stderr.flush()
n == 1 or time.sleep(0.3)
fail("done")
"""
    with pytest.raises(EnvironmentFault):
        fleet(tmp_path, program, stop=5).run()
    lines = [line for line in capsys.readouterr().err.splitlines() if len(line) >= 2000]
    assert len(lines) >= 20
    assert set(lines) <= {"1" * 20_000, "2" * 20_000}


@pytest.mark.parametrize("frozen", [False, True])
def test_a_worker_dies_with_its_parent(frozen: bool) -> None:
    # Given: a process whose one child is a worker that waits
    worker = (
        "import sys, time; sys.path.insert(0, '.'); from stream.child import Parent;"
        "from prometheus_client import REGISTRY; parent = Parent(int(sys.argv[1]), REGISTRY);"
        "print('up', flush=True); time.sleep(60)"
    )
    program = (
        "import sys, time; from stream.child import Child, Task;"
        f"child = Child(Task(1, {{}}, False, 60.0), [sys.executable, '-c', {worker!r}]);"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert parent.stdout is not None
    (process,) = {parent.stdout.readline(), parent.stdout.readline()} - {"up\n"}
    if frozen:
        os.kill(int(process), signal.SIGSTOP)

    parent.kill()
    parent.wait(10)
    parent.stdout.close()

    assert wait_for(lambda: not running(int(process)), 20)


def running(process: int) -> bool:
    """Whether it lives; one that has ended and waits to be reaped does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_every_line_of_a_worker_says_whose_it_is() -> None:
    code = (
        "import logging, structlog; from stream import logs; logs.configure('info', 'json', worker=3);"
        "structlog.get_logger().info('live', partition=1); logging.getLogger('client').warning('x')"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    assert [(line["event"], line["worker"]) for line in lines] == [("live", 3), ("x", 3)]


def test_series_of_workers_stand_side_by_side() -> None:
    # Given: two workers, each with a registry of its own
    parts = {}
    for worker, events in (("1", 5), ("2", 7)):
        registry = CollectorRegistry()
        Counter("events", "Events.", ["code"], registry=registry).labels("a").inc(events)
        Gauge("streams", "Streams.", registry=registry).set_function(lambda events=events: events * 10)
        parts[worker] = list(registry.collect())
    merged = CollectorRegistry()
    merged.register(Merged(lambda: parts))

    text = generate_latest(merged).decode()

    for line in (
        'events_total{code="a",worker="1"} 5.0', 'events_total{code="a",worker="2"} 7.0',
        'streams{worker="1"} 50.0', 'streams{worker="2"} 70.0',
    ):  # fmt: skip
        assert line in text
    assert text.count("# TYPE events_total counter") == 1


def test_health_names_the_worker_that_is_stuck() -> None:
    beats = {"worker 1": 0.1, "worker 2": 61.0}
    with web.server(beats=beats, ready=lambda: False) as address:
        stuck = web.ask(address, "/healthz")
        assert (stuck.status, stuck.body) == (503, b"worker 2 has not come round for 61 s\n")
        beats["worker 2"] = 59.0
        assert web.ask(address, "/healthz").status == 200
        assert web.ask(address, "/readyz").status == 503
