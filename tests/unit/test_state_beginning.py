"""Where a partition's work begins: every way to go on, and every reason not to."""

from dataclasses import replace

import msgspec
import pytest

from stream.errors import EnvironmentFault
from stream.state.beginning import Found, Fresh, Names, Resume, WarmUp, beginning
from stream.state.changelog import Marker, Rules

NAMES = Names("app", "events", "app.0123456789ab.state")
MARKER = Marker(
    replay=40,
    clock=1_700_000_000_000,
    position=60,
    origin=0,
    lineage="a",
    input_topic_id="topic-1",
    writer="app-one",
    rules=Rules(None, 4096, 1 << 20, "json"),
    onnxruntime="1",
    machine="x86_64",
)
FOUND = Found(partition=2, marker=MARKER, committed=60, begin=0, end=100, newest=59, input_topic_id="topic-1")
NOTHING = replace(FOUND, marker=None, committed=None, newest=-1)


def refusal(found: Found, *, warmup: bool = False) -> str:
    with pytest.raises(EnvironmentFault) as caught:
        beginning(found, NAMES, warmup)
    message = str(caught.value)
    assert "\n" not in message
    assert caught.value.exit_code == 1
    assert message.count("--application-id") >= 1
    return message


@pytest.mark.parametrize("warmup", [False, True])
@pytest.mark.parametrize("begin", [0, 30])
def test_without_state_and_without_an_offset_the_application_is_new(warmup: bool, begin: int) -> None:
    assert beginning(replace(NOTHING, begin=begin), NAMES, warmup) == Fresh()


@pytest.mark.parametrize("committed", [0, 60, 100])
def test_a_new_model_is_warmed_up_to_the_committed_offset(committed: int) -> None:
    assert beginning(replace(NOTHING, committed=committed), NAMES, warmup=True) == WarmUp(committed)


@pytest.mark.parametrize("warmup", [False, True])
@pytest.mark.parametrize(
    "found",
    [
        FOUND,
        replace(FOUND, committed=80),  # moved forward by hand: what lies between is stepped without outputs
        replace(FOUND, committed=100),
        replace(FOUND, newest=-1),  # no row was written yet
        replace(FOUND, begin=40),  # retention has come just as far as a restore can bear
        replace(FOUND, begin=60, marker=msgspec.structs.replace(MARKER, replay=60)),  # every row was written
        replace(FOUND, input_topic_id=None),  # brokers before topic ids
        replace(FOUND, marker=msgspec.structs.replace(MARKER, input_topic_id=None)),
    ],
    ids=lambda found: f"{found.begin}-{found.committed}-{found.newest}",
)
def test_state_and_offset_that_fit_together_are_taken_up(found: Found, warmup: bool) -> None:
    marker = found.marker or MARKER
    assert beginning(found, NAMES, warmup) == Resume(marker, marker.replay, found.committed or 0)


def test_an_offset_that_was_moved_past_deleted_events_is_taken_up_where_the_rows_lack_nothing() -> None:
    marker = msgspec.structs.replace(MARKER, replay=MARKER.position)
    found = replace(FOUND, begin=70, committed=70, marker=marker)
    assert beginning(found, NAMES, warmup=False) == Resume(marker, 70, 70)


REFUSALS: dict[str, tuple[Found, list[str]]] = {
    "the topic was made anew and is shorter": (
        replace(FOUND, committed=101),
        ["events [2]", "101", "end 100", "made anew", "another --application-id"],
    ),
    "rows without a marker": (
        replace(FOUND, marker=None),
        ["app.0123456789ab.state [2]", "no marker", "another --application-id"],
    ),
    "a new model without a warm-up": (
        replace(NOTHING, committed=60),
        ["app.0123456789ab.state [2]", "group app", "60", "--warmup SECONDS", "another --application-id"],
    ),
    "another input topic": (
        replace(FOUND, input_topic_id="topic-2"),
        ["--application-id app", "topic-1", "topic-2", "another --application-id"],
    ),
    "no committed offset": (
        replace(FOUND, committed=None),
        ["events [2]", "group app", "no committed offset", "60", "--to-offset", "another --application-id"],
    ),
    "an offset that was moved back": (
        replace(FOUND, committed=59),
        ["events [2]", "at offset 59", "with 60", "moved back", "Set it to 60"],
    ),
    "a row that the group has not reached": (
        replace(FOUND, newest=60),
        ["app.0123456789ab.state [2]", "offset 60", "at 60", "do not belong together"],
    ),
    "retention was faster than a restore": (
        replace(FOUND, begin=41),
        ["events [2]", "from offset 40", "below 41", "retention.ms"],
    ),
    "retention was faster than the service": (
        replace(FOUND, begin=70, marker=msgspec.structs.replace(MARKER, replay=60)),
        ["events [2]", "group app", "at offset 60", "below 70", "set it to 70", "retention.ms"],
    ),
    "retention was faster than a restore, and the offset was moved past what it deleted": (
        replace(FOUND, begin=70, committed=70),
        ["events [2]", "from offset 40", "below 70", "retention.ms"],
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_does_not_fit_is_refused_with_what_was_seen_and_the_mend(name: str) -> None:
    found, parts = REFUSALS[name]
    message = refusal(found)
    assert all(part in message for part in parts), message


@pytest.mark.parametrize("name", sorted(REFUSALS.keys() - {"a new model without a warm-up"}))
def test_a_warm_up_does_not_override_a_refusal(name: str) -> None:
    refusal(REFUSALS[name][0], warmup=True)


def test_a_warm_up_does_not_jump_over_events_that_were_never_predicted() -> None:
    assert "below 70" in refusal(replace(NOTHING, committed=60, begin=70), warmup=True)


def test_an_offset_of_a_topic_made_anew_is_told_before_the_missing_state() -> None:
    assert "made anew" in refusal(replace(NOTHING, committed=101))


def test_a_topic_id_that_differs_is_told_before_the_offset_that_went_with_the_old_topic() -> None:
    assert "topic-2" in refusal(replace(FOUND, input_topic_id="topic-2", committed=None))
