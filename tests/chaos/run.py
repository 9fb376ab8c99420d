"""One run from its seed to its report: the only file that knows the order of things."""

import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from engine.model import Model
from engine.step import Engine
from export.sample import random_model
from loadtest.errors import LoadTestError
from loadtest.findings import Delivery
from loadtest.port import ClientName
from loadtest.verify import verify
from localbroker.broker import LocalBroker
from tests.chaos.acts import STOP_SECONDS, Stage, play
from tests.chaos.faults import plan
from tests.chaos.instances import Instance
from tests.chaos.load import Load
from tests.chaos.verdict import Report
from tests.chaos.watch import Progress, Watch
from tests.service import create_topic, wait_for

INPUT, OUTPUT, APPLICATION = "events", "predictions", "chaos"
PARTITIONS = 4
SESSION_TIMEOUT = 6.0  # seconds
TIGHT = 0.4  # share of the streams that memory has room for in an instance, in every other run
STATE_TTL = 3.0  # seconds; some streams are silent for longer
FIRST_WORK, CATCH_UP, OVERTIME = 60.0, 150.0, 150.0  # seconds
STANDSTILL = 45.0  # seconds without any output after which no more is waited for
MOST_ENDS = 10  # of instances by themselves: enough to see why

Tell = Callable[[str], None]


class Hopeless(Exception):
    """The service does not stay up, so there is nothing to wait for."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is asked for."""

    seed: int
    folder: Path  # for logs and data
    faults: int = 20
    seconds: float = 120.0
    client: ClientName = "confluent"
    delivery: Delivery = "exactly_once"
    rate: int = 2500  # records a second
    streams: int = 2000


def run(options: Options, tell: Tell = print) -> Report:
    """Broker, instances, load and faults; then the verdict. What was started is ended, whatever happens.

    Raises what the broker's start raises; what the service does wrong stands in the report.
    """
    chance = random.Random(options.seed)
    count, tight = chance.randint(2, 4), chance.random() < 0.5
    ceiling = round(options.streams * TIGHT) if tight else None
    report = Report(options.seed, options.client, options.delivery, count, STATE_TTL, ceiling, str(options.folder))
    model = options.folder / "model.onnx"
    random_model(model, hidden=8, scaling="stream", lags=(1, 2), seed=options.seed)
    with ExitStack() as stack:
        broker = LocalBroker(
            options.folder / "broker",
            properties={"group.consumer.session.timeout.ms": str(round(SESSION_TIMEOUT * 1000))},
        )
        stack.callback(broker.stop)
        broker.start()
        create_topic(broker.bootstrap_servers, INPUT, PARTITIONS)
        common = [
            "--model", str(model), "--bootstrap-servers", broker.bootstrap_servers, "--client", options.client,
            "--input-topic", INPUT, "--output-topic", OUTPUT, "--application-id", APPLICATION,
            "--delivery", options.delivery, "--session-timeout", f"{SESSION_TIMEOUT:g}", "--commit-interval", "0.05",
            "--checkpoint-interval", "2", "--snapshot-interval", "3", "--state-ttl", f"{STATE_TTL:g}",
            *([] if ceiling is None else ["--memory-limit", str(_bytes(model, ceiling))]),
        ]  # fmt: skip
        instances = [
            Instance(name, [*common, "--instance-id", name, *_own(options, name, n)], options.folder)
            for n, name in enumerate("abcd"[:count])
        ]
        for instance in instances:
            stack.callback(instance.kill)
            instance.start()
        if not wait_for(lambda: all(one.said("partitions_assigned") for one in instances), FIRST_WORK):
            report.troubles.append(f"not every instance had work within {FIRST_WORK:g} s of the start")
        stage = Stage(broker, instances, time.monotonic, tell)
        stack.callback(stage.close)
        try:
            _under_load(options, broker, stage, report, tell)
        except Hopeless as error:
            report.troubles.append(str(error))
        _stop(stage, report)
        report.faults = stage.counts
        report.troubles += stage.troubles
        report.ends = [end for instance in instances for end in instance.ends]
        tell("verifying, one event at a time")
        try:
            report.verified = verify(
                broker.bootstrap_servers, model, INPUT, OUTPUT, dead_letter_topic=f"{OUTPUT}.dead-letters",
                delivery=options.delivery, client="confluent", state_ttl=STATE_TTL, step_batch=1,
            )  # fmt: skip
        except LoadTestError as error:
            report.troubles.append(str(error))
    return report


def _own(options: Options, name: str, number: int) -> list[str]:
    """What sets one instance apart: every other one leaves the group when it stops."""
    on_stop = "stay" if number % 2 else "leave"
    return ["--on-stop", on_stop, "--state-dir", str(options.folder / f"state-{name}")]


def _bytes(model: Path, streams: int) -> int:
    """Memory for so many streams, as the service counts it."""
    of_many = 10_000_000
    return streams * of_many // Engine.capacity_for(Model(model), of_many)


def _under_load(options: Options, broker: LocalBroker, stage: Stage, report: Report, tell: Tell) -> None:
    """The load, the faults, and the wait until the output has caught up. Raises Hopeless."""
    servers = broker.bootstrap_servers
    load = Load(servers, INPUT, options.rate, options.streams, PARTITIONS, options.seed)
    watch = Watch(servers, OUTPUT, PARTITIONS)
    began = told = time.monotonic()

    def turn() -> None:
        nonlocal told
        _mind(stage, tell)
        if time.monotonic() - told >= 5:
            told = time.monotonic()
            tell(f"{told - began:4.0f} s: {load.sent:,} sent, {watch.seen:,} outputs seen")

    load.start()
    watch.start()
    try:
        try:
            faults = plan(options.seed, options.faults, options.seconds, len(stage.instances), SESSION_TIMEOUT)
            if not play(stage, faults, turn, options.seconds + OVERTIME):
                report.troubles.append(f"the faults were not over {OVERTIME:g} s after their time")
            while time.monotonic() - began < options.seconds and load.failure is None:
                turn()
                time.sleep(0.05)
        finally:
            load.stop(20)
            report.seconds, report.sent = time.monotonic() - began, load.sent
        _catch_up(Progress(servers, APPLICATION, INPUT, PARTITIONS), watch, report, turn)
    finally:
        watch.stop()
        report.worst, report.worst_of_one = watch.silence.worst, watch.silence.worst_of_one
        for who, failure in (("the load", load.failure), ("the reader of the output", watch.failure)):
            if failure is not None:
                report.troubles.append(f"{who}: {failure}")


def _catch_up(progress: Progress, watch: Watch, report: Report, turn: Callable[[], None]) -> None:
    began = time.monotonic()
    lags: dict[int, int] | None = None

    def over() -> bool:
        nonlocal lags
        turn()
        lags = progress.lags()
        if lags is not None and not any(lags.values()):
            report.caught_up = time.monotonic() - began
        return report.caught_up is not None or watch.silence.now(time.monotonic()) > STANDSTILL

    wait_for(over, CATCH_UP)
    if report.caught_up is None:
        report.troubles.append(f"the group has not committed so many records of each partition: {lags}")


def _mind(stage: Stage, tell: Tell) -> None:
    """As a supervisor does: start again what ended by itself. Raises Hopeless."""
    for instance in stage.instances:
        if (end := instance.bury()) is not None:
            tell(f"{end.instance} ended with {end.code}: {end.line[:300]}")
        if sum(len(one.ends) for one in stage.instances) > MOST_ENDS:
            raise Hopeless(f"instances ended by themselves more than {MOST_ENDS} times")
        if not instance.running and stage.idle(instance):
            instance.start()


def _stop(stage: Stage, report: Report) -> None:
    for instance in stage.instances:
        if instance.running:
            instance.terminate()
    for instance in stage.instances:
        if not wait_for(lambda one=instance: not one.running, STOP_SECONDS):  # type: ignore[misc]
            report.troubles.append(f"{instance.name} did not end within {STOP_SECONDS:g} s of SIGTERM")
            instance.kill()
        instance.bury()
