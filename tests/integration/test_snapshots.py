"""What a start makes of the snapshots in --state-dir: sound ones are used, a damaged one is ignored."""

from pathlib import Path
from typing import Any

from loadtest.verify import verify
from tests.integration.application import Application
from tests.service import Service

ALL = {0, 1, 2}


def told(service: Service, event: str) -> dict[int, dict[str, Any]]:
    return {line["partition"]: line for line in service.said(event)}


def test_a_snapshot_stands_in_for_the_changelog_and_a_damaged_one_does_not(
    application: Application, tmp_path: Path
) -> None:
    there = ("--state-dir", str(tmp_path / "state"))
    assert not told(application.drain(*there), "snapshot_loaded")

    application.feed(200, first=400)
    second = application.drain(*there)
    of_snapshots, of_all = told(second, "snapshot_loaded"), told(second, "loaded")
    assert of_snapshots.keys() == of_all.keys() == ALL
    assert sum(line["rows"] for line in of_snapshots.values()) == 40
    assert sum(line["rows"] for line in of_all.values()) == 40, "nothing is read from the changelog"

    file = next((tmp_path / "state").rglob("*1.snapshot"))
    content = bytearray(file.read_bytes())
    content[-30] ^= 1
    file.write_bytes(content)
    application.feed(200, first=600)
    third = application.drain(*there)
    assert told(third, "snapshot_ignored").keys() == {1}
    assert told(third, "snapshot_loaded").keys() == {0, 2}

    result = verify(application.servers, application.model, application.input, application.output, step_batch=1)
    assert result.passed, result
    assert result.outputs.seen == 800
