"""What the embedded Kafka is told: properties, ports and the archive of classes. No JVM is started here."""

import socket
from pathlib import Path
from unittest.mock import Mock

import pytest

from localbroker.archive import Archive
from localbroker.broker import LocalBroker
from localbroker.errors import PortTaken
from localbroker.ports import free_port, is_free
from localbroker.properties import HOST, as_text, broker_properties


def test_overrides_win() -> None:
    properties = broker_properties("data", 1, 2, {"node.id": "7"})

    assert properties["node.id"] == "7"
    assert properties["listeners"] == "PLAINTEXT://127.0.0.1:1,CONTROLLER://127.0.0.1:2"
    assert properties["log.dirs"] == "data"


def test_a_backslash_survives_the_properties_file() -> None:
    assert as_text({"a": "b\\c"}) == "a=b\\\\c\n"


def test_a_port_with_a_listener_is_not_free() -> None:
    with socket.create_server((HOST, 0)) as server:
        assert not is_free(server.getsockname()[1])


def test_free_ports_lie_below_those_of_outgoing_connections() -> None:
    assert free_port() < 32768


def test_a_taken_port_is_named_before_anything_is_started(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        broker = LocalBroker(tmp_path, port)

        with pytest.raises(PortTaken, match=f"port {port} on 127.0.0.1 is taken; give another port"):
            broker.start()

    assert not broker.running


def test_a_port_that_is_taken_meanwhile_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def boot(_jars: object, _directory: object, port: int, *_rest: object) -> Mock:
        tried.append(port)
        if len(tried) < 3:
            raise PortTaken("taken")
        return Mock()

    monkeypatch.setattr("localbroker.broker.boot", boot)
    monkeypatch.setattr("localbroker.artifacts.class_path", list)
    broker = LocalBroker(tmp_path)
    broker.start()

    assert len(set(tried)) == 3
    assert broker.port == tried[-1]
    broker.stop()


def test_the_places_of_a_broker_are_known_once_it_has_started() -> None:
    with pytest.raises(RuntimeError, match="has not been started"):
        _ = LocalBroker().bootstrap_servers


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    java = tmp_path / "runtime" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text('#!/bin/sh\nfor last; do :; done; touch "${last#*=}"\n')  # "dumps" what the last flag names
    java.chmod(0o755)
    (tmp_path / "runtime" / "lib").mkdir()
    (tmp_path / "runtime" / "lib" / "modules").touch()
    (tmp_path / "cache").mkdir()
    return Archive(java, tmp_path / "cache")


def recorded(flags: list[str]) -> Path:
    return Path(flags[-1].removeprefix("-XX:ArchiveClassesAtExit="))


def test_the_first_orderly_end_makes_the_archive_that_later_starts_use(archive: Archive) -> None:
    assert archive.flags() == []

    recorded(archive.flags_to_record()).touch()
    archive.keep()

    assert archive.flags()[0].startswith("-XX:SharedArchiveFile=")
    assert archive.flags_to_record() == []


def test_a_killed_jvm_leaves_no_archive(archive: Archive) -> None:
    half = recorded(archive.flags_to_record())
    half.touch()

    archive.discard()

    assert not half.exists()
    assert archive.flags() == []


def test_without_a_base_there_is_no_archive_and_no_error(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "runtime" / "bin" / "java").write_text("#!/bin/sh\nexit 1\n")

    assert archive.flags_to_record() == []
