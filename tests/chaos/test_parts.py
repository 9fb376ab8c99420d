"""The parts of the chaos test by themselves: the plan, the load, the silence, the verdict. No broker, no service."""

from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path

import orjson
import pytest

from export.config import Config
from export.file import sign
from loadtest import port
from loadtest.findings import Counts, VerifyResult
from loadtest.input_format import InputFormat
from tests.chaos.faults import KINDS, plan
from tests.chaos.instances import Ended, Instance
from tests.chaos.load import LATEST, Records, source
from tests.chaos.verdict import Report
from tests.chaos.watch import Silence
from tests.service import wait_for


def test_a_seed_plans_the_same_faults_and_another_one_others() -> None:
    assert plan(5, 20, 120.0, 3, 6.0) == plan(5, 20, 120.0, 3, 6.0) != plan(6, 20, 120.0, 3, 6.0)


@pytest.mark.parametrize("seed", range(20))
def test_a_plan_has_every_kind_of_fault_in_the_order_of_their_times(seed: int) -> None:
    faults = plan(seed, 20, 120.0, 3, 6.0)

    count = Counter(fault.kind for fault in faults)
    assert set(count) == set(KINDS)
    assert (count["broker"], len(faults)) == (5, 20)
    assert count["kill"] >= 8
    assert [f.at for f in faults] == sorted(f.at for f in faults)
    assert 0 < faults[0].at < faults[-1].at < 120
    assert all(f.lasts > 6 for f in faults if f.kind == "freeze")
    assert all(sorted(f.order) == [0, 1, 2] for f in faults)


@pytest.mark.parametrize("count", [0, 1, 4, 6])
def test_a_short_plan_is_a_plan(count: int) -> None:
    faults = plan(1, count, 30.0, 2, 6.0)

    assert len(faults) == count
    assert sum(f.kind == "broker" for f in faults) == count // 4


def batches(seed: int, count: int) -> list[Records]:
    return list(islice(source(200, 4, seed, 1000), count))


def test_the_load_has_bad_records_gaps_resets_and_late_ones_from_a_seed() -> None:
    form = InputFormat(sign(Config(("value",), ("value",), 4, 1, "fixed", ())))
    dead = resets = missing = late = 0
    for batch in batches(3, 20):
        read = form.read(port.Records(batch.partitions, list(range(1000)), [1] * 1000, batch.keys, batch.values))
        dead += len(read.dead)
        resets += int(read.reset.sum())
        missing += int((read.mask == 0).sum()) - int(read.reset.sum())
        late += sum(0 < age < LATEST for age in batch.ages)

    assert 0.006 < dead / 20_000 < 0.02
    assert 0.003 < resets / 20_000 < 0.007
    assert 0.02 < missing / 20_000 < 0.04
    assert 0.01 < late / 20_000 < 0.03
    assert batches(3, 2) == batches(3, 2) != batches(4, 2)


def test_silence_is_the_longest_time_before_an_output() -> None:
    silence = Silence(2, 10.0)
    for partition, now in [(0, 11.0), (1, 11.5), (1, 12.0), (0, 14.0), (0, 17.0), (1, 17.0)]:
        silence.heard(partition, now)

    assert (silence.worst, silence.worst_of_one) == (3.0, 5.0)
    assert silence.now(20.0) == 3.0


def report(**given: object) -> Report:
    sound = VerifyResult("exactly_once", Counts(expected=9, seen=9), Counts(expected=1, seen=1), events=10, dead=1)
    whole = Report(7, "confluent", "exactly_once", 2, None, None, "/tmp", verified=sound, caught_up=1.0)
    return replace(whole, **given)  # type: ignore[arg-type]


def test_a_sound_run_passes(tmp_path: Path) -> None:
    report().write(tmp_path / "chaos.json")

    figures = orjson.loads((tmp_path / "chaos.json").read_bytes())
    assert report().wrong() == figures["wrong"] == []
    assert (figures["passed"], figures["seed"], figures["events"], figures["missing"]) == (True, 7, 10, 0)
    assert figures["dead_letters"]["seen"] == 1
    assert "every event has exactly its outcome" in report().table()


@pytest.mark.parametrize(
    "given",
    [
        {"ends": [Ended("a", 1, "statecast: broken", False)]},
        {"ends": [Ended("a", 1, "statecast: the stop took longer", True)]},
        {"verified": None},
        {"verified": VerifyResult("exactly_once", Counts(expected=9, seen=8, missing=1), events=9)},
        {"verified": VerifyResult("exactly_once")},
        {"caught_up": None},
        {"troubles": ["the load: lost"]},
    ],
)
def test_anything_wrong_is_told_and_fails(given: dict[str, object]) -> None:
    assert report(**given).wrong()
    assert "FAILED" in report(**given).table()
    assert report(**given).as_dict()["passed"] is False


def ended(instance: Instance) -> Ended | None:
    assert wait_for(lambda: not instance.running, 20)
    return instance.bury()


def test_an_instance_that_ends_by_itself_is_noted_with_its_last_line(tmp_path: Path) -> None:
    instance = Instance("a", ["--nonsense"], tmp_path)

    instance.start()
    end = ended(instance)

    assert end is not None
    assert (end.code, end.wanted) == (2, False)
    assert "--nonsense" in end.line
    assert instance.ends == [end]


def test_an_instance_that_was_killed_has_ended_as_it_should(tmp_path: Path) -> None:
    instance = Instance("a", ["--help"], tmp_path)

    instance.start()
    instance.freeze()
    assert instance.running
    instance.kill()

    assert ended(instance) is None
    assert instance.ends == []
