"""`serve --workers 2` against a real broker: two processes share four partitions, die, fail and stop under a parent."""

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from localbroker.broker import LocalBroker
from tests.recovery.world import CHECKPOINTS, PARTITIONS, World, progress, until
from tests.service import ROOT, Service, command, create_topic, produce, readings

TWO = ("--workers", "2", *CHECKPOINTS)


@pytest.fixture
def world(kafka: Any, make_topic: Callable[..., str], tmp_path: Path) -> World:
    return World(kafka.bootstrap_servers, make_topic(partitions=PARTITIONS), tmp_path, "confluent")


def live(service: Service) -> dict[int, set[int]]:
    """Worker -> the partitions that it serves, by the log."""
    here: dict[int, set[int]] = {}
    for line in service.lines():
        what, worker = line.get("event"), line.get("worker", 0)
        if what == "live":
            here.setdefault(worker, set()).add(line["partition"])
        elif what in ("partitions_revoked", "partitions_lost", "partitions_assigned"):
            here.setdefault(worker, set()).difference_update(line["partitions"])
        elif what == "worker_started":
            here[worker] = set()
    return here


def shared(world: World, service: Service) -> None:
    """Wait until each worker serves some partitions, and all are served."""

    def settled() -> bool:
        parts = list(live(service).values())
        return len(parts) == 2 and all(parts) and sorted(p for part in parts for p in part) == list(range(PARTITIONS))

    until(world, "two workers share all partitions", settled)


def processes(service: Service) -> list[psutil.Process]:
    """The workers that run, worker 1 first."""
    newest = {line["worker"]: line["process"] for line in service.said("worker_started")}
    return [psutil.Process(newest[number]) for number in sorted(newest)]


def get(service: Service, path: str) -> tuple[int, str]:
    address = service.said("http")[0]["address"]
    try:
        with urllib.request.urlopen(f"http://{address}/{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def counted(service: Service) -> float:
    """Events by /metrics, over all workers."""
    lines = get(service, "metrics")[1].splitlines()
    return sum(float(line.split()[1]) for line in lines if line.startswith("statecast_events_total{"))


def test_two_workers_work_off_what_is_there_and_end(world: World) -> None:
    for first in (0, 4000):
        produce(world.servers, world.input, readings(4000, streams=60, first=first))
        with world.serve("a", "--until-end", *TWO, "--state-dir", str(world.folder / "state")) as service:
            assert service.wait(90) == 0, service.log.read_text()
        assert {line["slot"] for line in service.said("serving")} == {f"{world.output}-a-1", f"{world.output}-a-2"}
        assert not service.said("ended_without_partitions")
        assert world.check(events=first + 4000).passed


@pytest.mark.parametrize("client", ["confluent", "kafka-python"])
def test_a_worker_that_is_killed_comes_back_and_costs_no_event(world: World, client: str) -> None:
    world.client = client
    with (
        world.feed(streams=200, pace=1500) as feed,
        world.watch() as watch,
        world.serve("a", *TWO, "--http", "127.0.0.1:0") as service,
    ):
        shared(world, service)
        until(world, "both are ready", lambda: get(service, "readyz")[0] == 200)
        victim, other = processes(service)

        victim.kill()
        until(world, "the parent says so", lambda: service.said("worker_died"))
        assert service.said("worker_died")[0]["how"] == "ended by SIGKILL"
        assert service.said("worker_died")[0]["worker"] == 1
        shared(world, service)
        progress(world, watch)

        until(world, "both are ready again", lambda: get(service, "readyz")[0] == 200)
        assert get(service, "healthz") == (200, "ok\n")
        text = get(service, "metrics")[1]
        assert 'statecast_worker_restarts_total{worker="1"} 1.0' in text
        assert 'statecast_worker_restarts_total{worker="2"} 0.0' in text
        assert other.is_running()
        service.terminate()
        assert service.wait(40) == 0, service.log.read_text()
    world.drain("a", *TWO)
    world.check(events=feed.sent)


def test_a_worker_that_comes_back_while_the_broker_is_away_takes_no_other_down(tmp_path: Path) -> None:
    with LocalBroker() as broker:
        create_topic(broker.bootstrap_servers, "in", PARTITIONS)
        world = World(broker.bootstrap_servers, "in", tmp_path, "confluent", session=10.0)
        with world.watch() as watch, world.serve("a", *TWO, "--http", "127.0.0.1:0") as service:
            with world.feed(pace=200) as feed:
                shared(world, service)
                until(world, "both are ready", lambda: get(service, "readyz")[0] == 200)
                victim, other = processes(service)

                broker.kill()
                victim.kill()
                until(world, "its successor gives up", lambda: len(service.said("worker_died")) == 2)
                assert "cannot reach Kafka" in service.said("worker_died")[1]["how"]
                broker.restart()

                until(world, "both are ready again", lambda: get(service, "readyz")[0] == 200)
                progress(world, watch)
            assert other.is_running()
            service.terminate()
            assert service.wait(40) == 0, service.log.read_text()
        world.drain("a", *TWO)
        world.check(events=feed.sent)


def test_a_worker_without_a_partition_is_ready_and_at_the_end_nobody_is_waited_for_for_ever(
    world: World, make_topic: Callable[..., str]
) -> None:
    # Given: two partitions; another process has one of them, worker 1 or 2 the other, and its sibling none
    world.input = make_topic(partitions=2)
    more = ("--on-stop", "leave", *CHECKPOINTS)
    with world.serve("b", *more) as other:
        until(world, "the other serves", lambda: len(live(other).get(0, ())) == 2)
        with world.serve("a", "--workers", "2", "--http", "127.0.0.1:0", *more) as service:
            until(world, "one has a partition, one none", lambda: sorted(map(len, live(service).values())) == [0, 1])
            until(world, "the service is ready", lambda: get(service, "readyz")[0] == 200, 20)

            # When: one starts that finds every partition taken
            with world.serve("c", "--workers", "2", "--until-end", *more) as late:
                assert late.wait(90) == 0, late.log.read_text()
            assert [line["partitions"] for line in late.said("ended_without_partitions")] == [[0, 1]]
            service.terminate()
            assert service.wait(40) == 0, service.log.read_text()


@contextmanager
def in_a_terminal(world: World, *more: str) -> Iterator[Service]:
    """A service that leads a group of processes, as a shell starts it, so that Ctrl-C reaches all of them."""
    log = world.folder / "terminal.log"
    arguments = [
        "--model", str(world.model), "--bootstrap-servers", world.servers, "--input-topic", world.input,
        "--output-topic", world.output, "--application-id", world.output, "--instance-id", "a", *TWO, *more,
    ]  # fmt: skip
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "statecast", "serve", "--log-format", "json", *arguments],
            stderr=sink, stdout=sink, cwd=ROOT, start_new_session=True,
        )  # fmt: skip
    try:
        yield Service(process, log, arguments)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(10)


def test_ctrl_c_under_load_is_a_clean_stop(world: World) -> None:
    with world.feed(streams=200, pace=1500) as feed, in_a_terminal(world, "--http", "127.0.0.1:0") as service:
        shared(world, service)
        until(world, "/metrics counts for all", lambda: counted(service) > 500)
        workers = processes(service)
        os.killpg(service.process.pid, signal.SIGINT)
        assert service.wait(40) == 0, service.log.read_text()
        assert len(service.said("stopped")) == 3
        assert "Traceback" not in service.log.read_text()
        assert not any(worker.is_running() for worker in workers)
    world.drain("a", *TWO)
    world.check(events=feed.sent)


def test_workers_end_with_a_parent_that_is_killed(world: World) -> None:
    with world.feed() as feed, world.serve("a", *TWO) as service:
        shared(world, service)
        workers = processes(service)
        service.kill()
        until(world, "no worker is left", lambda: not psutil.wait_procs(workers, timeout=0)[1], 20)
    world.drain("a", *TWO)
    world.check(events=feed.sent)


def test_a_worker_whose_slot_is_taken_ends_all_with_its_line(world: World) -> None:
    with world.feed(), world.serve("a", *TWO) as service:
        shared(world, service)
        with world.serve("a-1", *CHECKPOINTS):
            assert service.wait(90) == 1, service.log.read_text()
    last = service.log.read_text().splitlines()[-1]
    assert last.startswith("statecast: ")
    assert f"another process runs as {world.output}-a-1" in last
    assert {line["worker"] for line in service.said("stopped")} >= {2}


@pytest.mark.parametrize(
    ("more", "code", "says"),
    [
        (["--input-topic", "absent"], 1, "statecast: --input-topic absent: does not exist at "),
        (["--workers", "9"], 2, "statecast: --workers 9: --input-topic "),
        (["--model", "absent.onnx"], 2, "statecast: model absent.onnx: cannot be read "),
    ],
)
def test_what_no_worker_can_use_is_told_once(world: World, more: list[str], code: int, says: str) -> None:
    result = command(
        "serve", "--model", str(world.model), "--bootstrap-servers", world.servers, "--input-topic", world.input,
        "--output-topic", world.output, "--workers", "2", "--log-level", "error", *more,
    )  # fmt: skip
    assert (result.returncode, result.stderr.count("\n")) == (code, 1), result.stderr
    assert result.stderr.startswith(says)
