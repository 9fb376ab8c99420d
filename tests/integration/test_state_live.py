"""What is done to topics and offsets behind the service's back: between two starts, and while it runs."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.integration.application import Application, MakeApplication, last_line, steps
from tests.service import Service, eventually

NOTICED = 45.0  # seconds; 10 between two looks, and the rest for a machine with much else to do


# Between two starts


def test_an_input_that_lost_events_a_restore_needs_is_refused(make: MakeApplication) -> None:
    application = make("kafka-python", partitions=1)
    application.feed()
    application.crashed()
    application.truncate(application.input, {0: 300})
    line = application.refused()
    assert f"{application.input} [0]: a restore needs the events from offset " in line
    assert "below 300" in line
    assert "--application-id" in line


def test_an_input_that_lost_events_which_were_never_predicted_is_refused(application: Application) -> None:
    at = application.committed()
    application.feed(400, first=400)
    application.truncate(application.input, {p: offset + 1 for p, offset in at.items()})
    line = application.refused()
    # The consumer or the check of the committed offset, whoever comes first.
    assert "never predicted" in line or "is no longer there" in line
    assert "retention.ms" in line

    # The mend that the line names: after a clean stop nothing else is lacking.
    application.commit({p: offset + 1 for p, offset in at.items()})
    application.drain()
    assert application.committed() == application.ends()


def test_another_input_topic_under_the_same_application_is_refused(
    application: Application, make_topic: Callable[..., str]
) -> None:  # fmt: skip
    line = application.but(input=make_topic(partitions=3)).refused()
    assert f"--application-id {application.name}: its group is at work on {application.input}, not on topic-" in line
    assert "use another --application-id" in line


def test_offsets_that_were_deleted_are_refused_and_setting_them_is_the_mend(application: Application) -> None:
    before = application.committed()
    application.forget_offsets()
    line = application.refused()
    assert f"the group {application.name} has no committed offset" in line
    assert "Set it back to " in line
    application.commit(before)
    application.feed(100, first=400)
    application.drain()
    assert application.outputs() == steps(application)


def test_an_offset_that_was_moved_back_is_refused(application: Application) -> None:
    at = application.committed()[1]
    application.commit({1: at - 3})
    line = application.refused()
    assert f"{application.input} [1]: the group {application.name} is at offset {at - 3}" in line
    assert f"Set it to {at}" in line


def test_events_under_an_offset_that_was_moved_forward_are_stepped_silently(application: Application) -> None:
    before = application.ends()
    application.feed(200, first=400)
    jump = application.ends()
    application.commit(jump)
    application.feed(200, first=600)
    application.drain()
    ends = [p for p, end in sorted(application.ends().items()) for _ in range(end)]
    assert application.outputs() == [
        event for p, event in zip(ends, steps(application), strict=True) if not before[p] <= event[1] < jump[p]
    ]


def test_an_input_that_was_made_anew_is_refused(application: Application) -> None:
    application.delete(application.input)
    application.make(application.input, 3)
    application.feed()
    line = application.refused()
    assert f"--application-id {application.name}: its state belongs to another input topic" in line
    assert f"{application.input} was deleted and made anew" in line


def test_partitions_that_were_added_are_refused_with_what_that_does_to_keys(application: Application) -> None:
    application.add_partitions(application.input, 5)
    line = application.refused()
    assert f"changelog {application.changelog}: has 3 partitions, --input-topic {application.input} 5" in line
    assert "its keys now go to other partitions" in line


# While it runs


def events_are_deleted(application: Application, service: Service) -> None:
    """While the service lags: it is stopped, and retention passes it."""
    os.kill(service.process.pid, signal.SIGSTOP)
    try:
        for first in (400, 800):
            application.feed(400, first=first)
        application.truncate(application.input, application.ends())
        application.feed(100, first=1200)
    finally:
        os.kill(service.process.pid, signal.SIGCONT)


def changelog_is_deleted(application: Application, _: Service) -> None:
    application.delete(application.changelog)


def changelog_is_made_anew(application: Application, _: Service) -> None:
    application.delete(application.changelog)
    application.make(application.changelog, 3, cleanup_policy="compact")


def input_is_made_anew(application: Application, _: Service) -> None:
    application.delete(application.input)
    application.make(application.input, 3)


def partitions_are_added(application: Application, _: Service) -> None:
    application.add_partitions(application.input, 5)


Change = Callable[[Application, Service], None]
CHANGES: dict[Change, list[str]] = {
    events_are_deleted: ["{input} [", "is no longer there", "retention.ms"],
    changelog_is_deleted: ["{changelog}"],
    # A look that falls between its end and its new beginning says only that it was deleted.
    changelog_is_made_anew: ["changelog {changelog}: was deleted", "--application-id"],
    input_is_made_anew: ["{input}", "application"],
    partitions_are_added: ["--input-topic {input}: has 5 partitions, and had 3", "keys now go to other partitions"],
}


@pytest.mark.parametrize(
    ("client", "changes"),
    [
        ("confluent", list(CHANGES)),
        ("kafka-python", [events_are_deleted, changelog_is_made_anew, input_is_made_anew]),
    ],
    ids=["confluent", "kafka-python"],
)
def test_a_change_behind_its_back_ends_a_running_service_with_one_line(
    make: MakeApplication, client: str, changes: list[Change]
) -> None:
    """A service for each change, all at once: most of the time is the wait for the next look."""
    running: dict[Change, tuple[Application, Service]] = {}
    with ExitStack() as stack:
        for change in changes:
            application = make(client)
            application.feed()
            running[change] = application, stack.enter_context(application.serving("--session-timeout", "30"))
        for change, (application, service) in running.items():
            application.predicted(400)
            change(application, service)
        began = time.monotonic()
        lines = {change: last_line(service) for change, (_, service) in running.items()}
        assert time.monotonic() - began < NOTICED
    for change, (application, _) in running.items():
        says = [part.format(input=application.input, changelog=application.changelog) for part in CHANGES[change]]
        assert all(part in lines[change] for part in says), lines[change]


@pytest.mark.parametrize("client", ["confluent", "kafka-python"])
def test_a_slot_that_is_taken_ends_the_first_and_not_the_second(
    make: MakeApplication, tmp_path: Path, client: str
) -> None:  # fmt: skip
    application = make(client)
    application.feed()
    with application.serving() as first:
        eventually("live", lambda: len(first.said("live")) == 3, 90)
        with application.serving("--state-dir", str(tmp_path / "state")) as second:
            line = last_line(first)
            assert f"{application.name}-one" in line
            assert "--instance-id" in line
            application.feed(100, first=400)
            application.predicted(500)
            second.terminate()
            assert second.wait() == 0
    assert application.outputs() == steps(application)
