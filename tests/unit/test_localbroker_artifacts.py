"""The class path of the embedded Kafka: from the cache without a network, from the network once, or a clear error."""

from pathlib import Path

import pytest

from localbroker import artifacts
from localbroker.errors import LocalBrokerError
from localbroker.ports import free_port


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return artifacts.cache_directory()


@pytest.fixture
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tmp_path / "jgo.conf"
    settings.write_text(f"[repositories]\ncentral = http://127.0.0.1:{free_port()}/maven2\n")
    monkeypatch.setenv("JGO_CONFIG_FILE", str(settings))


def resolved(tmp_path: Path, content: bytes) -> list[Path]:
    jar = tmp_path / "kafka.jar"
    jar.write_bytes(content)
    return [jar]


@pytest.mark.usefixtures("no_network")
def test_what_is_in_the_cache_needs_no_network(cache: Path) -> None:
    (cache / "jars").mkdir(parents=True)
    for name in ("b.jar", "a.jar"):
        (cache / "jars" / name).touch()
    said: list[str] = []

    assert [jar.name for jar in artifacts.class_path(said.append)] == ["a.jar", "b.jar"]
    assert said == []


@pytest.mark.usefixtures("no_network")
def test_a_failed_download_is_one_line_with_the_mend_and_leaves_nothing(cache: Path) -> None:
    said: list[str] = []

    with pytest.raises(LocalBrokerError, match=r"could not be downloaded: .*; it is needed once: connect to") as raised:
        artifacts.class_path(said.append)

    assert "\n" not in str(raised.value)
    assert said == ["resolving Apache Kafka 4.1.0 (once, about 44 MB) ..."]
    assert [each.name for each in cache.iterdir()] == ["lock"]


def test_other_jars_than_those_published_are_refused(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifacts, "_resolve", lambda _repository: resolved(tmp_path, b"not Kafka"))

    with pytest.raises(LocalBrokerError, match="is not what was published"):
        artifacts.class_path(lambda _line: None)

    assert not (cache / "jars").exists()


def test_the_download_happens_once(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jars = resolved(tmp_path, b"Kafka")
    calls: list[Path] = []
    monkeypatch.setattr(artifacts, "_DIGEST", artifacts._digest(jars))
    monkeypatch.setattr(artifacts, "_resolve", lambda repository: calls.append(repository) or jars)

    for _ in range(2):
        assert artifacts.class_path(lambda _line: None) == [cache / "jars" / "kafka.jar"]

    assert len(calls) == 1


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))

    with pytest.raises(LocalBrokerError, match="Not a directory; make it writable or set XDG_CACHE_HOME"):
        artifacts.class_path(lambda _line: None)
