"""Durable state that does not fit: a start says so in one line, and leaves everything as it is."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.integration.application import Application, damages, steps, streams_of
from tests.service import command, eventually, read

MakeApplication = Callable[..., Application]


@pytest.fixture
def make(kafka: Any, make_topic: Callable[..., str], tmp_path: Path) -> MakeApplication:
    def make(client: str = "confluent", partitions: int = 3) -> Application:
        return Application(kafka.bootstrap_servers, tmp_path, make_topic(partitions=partitions), client)

    return make


@pytest.fixture
def application(make: MakeApplication) -> Application:
    """One that has state, and does not run."""
    application = make()
    application.feed()
    application.drain()
    return application


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
        eventually("the first goes on", lambda: len(read(application.servers, application.output)) == 500)
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


@pytest.mark.parametrize(
    ("client", "name"),
    [
        *(
            ("confluent", n)
            for n in ("format", "width", "cut", "garbage", "key", "marker", "marker of a later version")
        ),
        ("kafka-python", "width"),
    ],
)
def test_a_damaged_changelog_halts_its_partition_and_no_other(make: MakeApplication, client: str, name: str) -> None:
    application = make(client, partitions=4)
    application.feed()
    application.drain()
    key, value, says = damages(application)[name]
    offset = application.write_state(2, key, value)
    application.feed(400, first=400)
    at, theirs = application.committed()[2], streams_of(application, 2)
    fine = [(key, event, step) for key, event, step in steps(application) if key not in theirs or event < at]
    with application.serving("--http", "127.0.0.1:0") as service:
        eventually("the others go on", lambda: len(read(application.servers, application.output)) == len(fine), 90)
        (halted,) = eventually("a partition is halted", lambda: service.said("partition_halted"))
        assert (halted["level"], halted["partition"]) == ("error", 2)
        address = service.said("http")[0]["address"]
        curl = subprocess.run(
            ["curl", "-s", "-w", "%{http_code}", f"http://{address}/readyz"], capture_output=True, text=True, check=True
        )
        assert curl.stdout.endswith("503")
        service.terminate()
        assert service.wait() == 1
    line = service.log.read_text().splitlines()[-1]
    assert line.startswith(f"statecast: {application.changelog} [2], offset {offset}: ")
    assert says in line
    assert "--application-id" in line
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
        eventually("all outputs", lambda: len(read(application.servers, application.output)) == 200)
        service.terminate()
        assert service.wait() == 0
    application.feed(100, first=400)
    application.drain("--start", "earliest")  # counts for new applications only
    assert application.outputs() == steps(application, before)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--checkpoint-interval", "0"], "--checkpoint-interval"),
        (["--state-ttl", "-1"], "--state-ttl"),
        (["--start", "middle"], "'earliest' or 'latest'"),
        (["--warmup", "nope"], "--warmup"),
        (["--warmup", "0"], "--warmup"),
        (["--snapshot-interval", "0"], "--snapshot-interval"),
    ],
)
def test_an_option_of_state_with_a_wrong_value_is_told(
    application_: Application, arguments: list[str], says: str
) -> None:
    line = application_.refused(*arguments, code=2)
    assert says in line


@pytest.fixture(scope="module")
def application_(kafka: Any, tmp_path_factory: pytest.TempPathFactory) -> Application:
    application = Application(kafka.bootstrap_servers, tmp_path_factory.mktemp("options"), f"options-{os.getpid()}")
    application.make(application.input, 1)
    return application
