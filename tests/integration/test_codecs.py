"""The same events in another format get the same predictions, and a restore reads old events as they were written."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.integration.application import Application
from tests.service import produce, read, readings


@pytest.fixture
def application(kafka: Any, tmp_path: Path, make_topic: Callable[..., str]) -> Application:
    return Application(kafka.bootstrap_servers, tmp_path, make_topic(partitions=1))


def told(application: Application, read_value: Callable[[bytes], Any]) -> list[tuple[bytes, dict[str, Any]]]:
    return [(r.key, read_value(r.value)) for r in read(application.servers, application.output)]


def repacked(count: int, first: int = 0) -> list[tuple[bytes, bytes]]:
    return [(k, msgspec.msgpack.encode(json.loads(v))) for k, v in readings(count, streams=40, first=first)]


def in_float32(told: dict[str, Any]) -> dict[str, Any]:
    return {name: float(np.float32(v)) if isinstance(v, float) else v for name, v in told.items()}


def test_msgpack_says_what_json_says(application: Application, make_topic: Callable[..., str]) -> None:
    application.feed(300)
    application.drain()
    packed = application.but(input=make_topic(partitions=1), name=f"{application.name}-packed")
    produce(packed.servers, packed.input, [*repacked(300), (b"bad", b'{"value": 1}')])

    packed.drain("--codec", "msgpack")

    expected = told(application, json.loads)
    assert len(expected) == 300
    found = told(packed, msgspec.msgpack.decode)
    assert [key for key, _ in found] == [key for key, _ in expected]
    for (_, one), (_, other) in zip(found, expected, strict=True):
        assert in_float32(one) == in_float32(other)


def test_a_restore_decodes_old_events_by_the_codec_of_their_time(application: Application) -> None:
    application.feed(300)
    application.crashed()  # no row is in the changelog: the next start replays all events
    produce(application.servers, application.input, repacked(100, first=300))

    application.drain("--codec", "msgpack")

    outputs = read(application.servers, application.output)
    steps: dict[bytes, list[int]] = {}
    for i, record in enumerate(outputs):
        one = json.loads(record.value) if i < 300 else msgspec.msgpack.decode(record.value)
        steps.setdefault(record.key, []).append(one["step"])
    assert len(outputs) == 400
    assert all(of_one == list(range(1, len(of_one) + 1)) for of_one in steps.values())
