"""Durable state that does not fit: a start says so in one line, and leaves everything as it is."""

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.error import HTTPError

import pytest

from tests.integration.application import Application, MakeApplication, damages, homes, steps
from tests.service import command, eventually, read

# --state-dir


def test_a_state_directory_that_cannot_be_written_is_told(application: Application, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert f"--state-dir {file}: it is a file; give a directory" in application.refused(
        "--state-dir", str(file), code=2
    )
    for place in (file / "below", Path("/proc/statecast")):
        line = application.refused("--state-dir", str(place), code=2)
        assert f"--state-dir {place}: " in line
        assert "give a" in line


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "full"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a full disk needs the right to mount one")
    try:
        (place / "filler").write_bytes(b"x" * (64 << 10))
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_full_state_directory_is_told(application: Application, full: Path) -> None:
    line = application.refused("--state-dir", str(full))
    assert f"--state-dir {full}: cannot be written: No space left on device; free some space" in line


def test_a_state_directory_is_one_process_s(application: Application, tmp_path: Path) -> None:
    with application.serving("--state-dir", str(tmp_path / "state")) as first:
        eventually("live", lambda: len(first.said("live")) == 3)
        line = application.refused("--state-dir", str(tmp_path / "state"))
        assert f"--state-dir {tmp_path / 'state'}: another process uses it" in line
        assert f"process {first.process.pid}" in line
        assert "--instance-id" in line
        application.feed(100, first=400)
        application.predicted(500)
        first.terminate()
        assert first.wait() == 0


# The changelog


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"cleanup_policy": "delete"}, "has cleanup.policy=delete"),
        ({"cleanup_policy": "compact,delete"}, "has cleanup.policy=compact,delete"),
        ({"cleanup_policy": "compact", "delete_retention_ms": "60000"}, "has delete.retention.ms=60000"),
    ],
)
def test_a_changelog_that_forgets_is_refused(make: MakeApplication, config: dict[str, str], says: str) -> None:
    application = make()
    application.make(application.changelog, 3, **config)
    line = application.refused()
    assert f"changelog {application.changelog}: {says}" in line
    assert "set it to" in line


def test_a_changelog_with_another_number_of_partitions_is_refused(make: MakeApplication) -> None:
    application = make()
    application.make(application.changelog, 2, cleanup_policy="compact", delete_retention_ms="86400000")
    line = application.refused()
    assert f"changelog {application.changelog}: has 2 partitions, --input-topic {application.input} 3" in line


def test_a_start_that_is_refused_makes_no_topic(make: MakeApplication) -> None:
    application = make()
    application.make(f"{application.output}.dead-letters", 2)
    assert "has 2 partitions, the input topic has 3" in application.refused()
    with closing(application.asking()) as admin:
        assert admin.describe(application.changelog) is None


def test_a_deleted_changelog_is_refused_and_a_warm_up_is_the_mend(application: Application) -> None:
    application.delete(application.changelog)
    line = application.refused()
    assert f"{application.changelog} [" in line
    assert "--warmup SECONDS" in line
    application.feed(100, first=400)
    application.drain("--warmup", "86400")
    assert application.outputs() == steps(application)


def test_a_changelog_whose_beginning_was_deleted_is_refused(application: Application) -> None:
    application.truncate(application.changelog, {0: 5})
    line = application.refused()
    assert f"{application.changelog} [0]" in line
    assert "--application-id" in line or "application id" in line


@pytest.mark.parametrize("client", ["confluent", "kafka-python"])
def test_a_damaged_changelog_halts_its_partition_and_no_other(make: MakeApplication, client: str) -> None:
    application = make(client, partitions=8)
    application.feed()
    application.drain()
    kinds = dict(enumerate(damages(application).values(), 1))  # partition 0 is sound
    offsets = {p: application.write_state(p, key, value) for p, (key, value, _) in kinds.items()}
    application.feed(400, first=400)
    at, home = application.committed(), homes(application)
    assert set(home.values()) == {0, *kinds}
    fine = [one for one in steps(application) if home[one[0]] not in kinds or one[1] < at[home[one[0]]]]
    with application.serving("--http", "127.0.0.1:0") as service:
        application.predicted(len(fine))
        halts = lambda: service.said("partition_halted")  # noqa: E731
        eventually("they are halted", lambda: len(halts()) == len(kinds))
        address = service.said("http")[0]["address"]
        with pytest.raises(HTTPError) as answer:
            urllib.request.urlopen(f"http://{address}/readyz", timeout=10)
        assert answer.value.code == 503
        service.terminate()
        assert service.wait() == 1
    reasons = {halted["partition"]: halted["reason"] for halted in halts() if halted["level"] == "error"}
    assert reasons.keys() == kinds.keys()
    for partition, (_, _, says) in kinds.items():
        assert reasons[partition].startswith(f"{application.changelog} [{partition}], offset {offsets[partition]}: ")
        assert says in reasons[partition]
        assert "--application-id" in reasons[partition]
    line = service.log.read_text().splitlines()[-1]
    assert line in [f"statecast: {reason}" for reason in reasons.values()]
    assert sorted(application.outputs()) == sorted(fine)


def test_a_single_partition_with_a_damaged_changelog_ends_the_start(make: MakeApplication) -> None:
    application = make(partitions=1)
    application.feed(50)
    application.drain()
    application.write_state(0, b"m", b"{")
    result = command("serve", *application.arguments("--log-level", "error"))
    lines = result.stderr.splitlines()
    assert result.returncode == 1
    assert [line[:11] for line in lines if not line.startswith("{") and "partition_halted" not in line] == [
        "statecast: "
    ]


# A new model, a new application


def test_a_new_model_goes_on_with_a_warm_up_and_says_what_it_always_would_have(application: Application) -> None:
    new = application.but(seed=1)
    line = new.refused()
    assert f"{new.changelog} [" in line
    assert "A new model needs --warmup SECONDS" in line
    new.feed(200, first=400)
    new.drain("--warmup", "86400")
    assert new.outputs() == steps(new)
    reference = new.but(name=f"{new.name}-reference")
    reference.drain()
    said = {(r.partition, (v := json.loads(r.value))["offset"]): v for r in read(new.servers, new.output)}
    expected = {(r.partition, (v := json.loads(r.value))["offset"]): v for r in read(new.servers, reference.output)}
    late = [place for place, value in said.items() if value["model"] == expected[place]["model"]]
    assert len(late) == 200
    assert all(said[place] == expected[place] for place in late)


def test_a_new_application_may_begin_with_what_comes(make: MakeApplication) -> None:
    application = make()
    application.feed(200)
    before = application.ends()
    with application.serving("--start", "latest") as service:
        eventually("live", lambda: len(service.said("live")) == 3)
        application.feed(200, first=200)
        application.predicted(200)
        service.terminate()
        assert service.wait() == 0
    application.feed(100, first=400)
    application.drain("--start", "earliest")  # counts for new applications only
    assert application.outputs() == steps(application, before)
