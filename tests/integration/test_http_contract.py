"""What is promised of HTTP, against a real service: its document, its page of commands, other instances."""

import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests import web
from tests.integration.asked import KEYS, PARTITIONS, World
from tests.service import ROOT, eventually

PAGE = ROOT / "docs" / "http.md"


@pytest.fixture(scope="module")
def world(kafka: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(kafka.bootstrap_servers, tmp_path_factory.mktemp("http"))
    with world.serve("main") as (service, world.address):
        eventually("all streams", lambda: world.ask("/v1/overview").json["streams"] == len(KEYS))
        yield world
        assert "http_failed" not in service.log.read_text()


def commands() -> list[str]:
    """The commands of docs/http.md."""
    return re.findall(r"^    (curl .*)$", PAGE.read_text(), re.MULTILINE)


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_page_works(world: World, command: str) -> None:
    world.send(b"pump-1")  # which another command may have reset
    eventually("the stream is there", lambda: world.step(b"pump-1") > 0)
    told = command.replace("127.0.0.1:8080", world.address).replace("curl ", "exec curl --fail-with-body ", 1)
    if " -sN " in told:  # it has no end
        with subprocess.Popen(["bash", "-c", told], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            process.kill()
        assert line.startswith((":", "id:")), line
        return
    result = subprocess.run(["bash", "-c", told], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result
    assert result.stdout.startswith("{"), result


def test_what_can_be_asked_is_what_the_document_says(world: World) -> None:
    world.send(b"pump")  # its example
    eventually("the stream is there", lambda: world.step(b"pump") > 0)
    result = subprocess.run(
        [
            sys.executable, "-m", "schemathesis.cli", "run", f"http://{world.address}/openapi.json", "--no-color",
            "--generation-deterministic", "--request-timeout", "60", "--max-examples", "5",
            # A reset is no deletion: the stream is known until the record is read, and its next event is its first.
            "--exclude-checks", "use_after_free,ensure_resource_availability",
            # It has no end; what it says is looked at where streams are followed.
            "--exclude-operation-id", "events",
        ],
        capture_output=True, text=True, timeout=250, check=False, cwd=world.folder,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"Tested: 9\n", result.stdout), result.stdout


def test_a_key_whose_partition_is_at_another_instance_is_421_with_the_partition(world: World) -> None:
    with world.serve("other") as (other, address):
        shares = [
            eventually("a share of the partitions", lambda at=at: only(world.ask("/v1/overview", address=at).json))
            for at in (world.address, address)
        ]
        assert sorted(shares) == [[0], [1]]
        world.send(*KEYS)
        for key in KEYS:

            def told(key: bytes = key) -> list[web.Reply] | None:
                """By who has it, and who has not; once it is there."""
                path = f"/v1/streams/{quote(key, safe='')}"
                replies = [world.ask(path, address=at) for at in (world.address, address)]
                found, away = sorted(replies, key=lambda reply: reply.status)
                return [found, away] if found.status == 200 else None

            found, away = eventually("the stream", told)
            assert away.status == 421, key
            assert away.json["partition"] == found.json["partition"]
        other.terminate()
        assert other.wait() == 0
    eventually("all partitions are back", lambda: len(world.ask("/v1/overview").json["partitions"]) == PARTITIONS)
    eventually("readiness", lambda: web.ask(world.address, "/readyz").status == 200)


def only(overview: Any) -> list[int] | None:
    """The one partition that is here and live, else None."""
    parts = overview["partitions"]
    return [parts[0]["partition"]] if len(parts) == 1 and parts[0]["phase"] == "live" else None
