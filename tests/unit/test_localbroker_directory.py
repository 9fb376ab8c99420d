"""The embedded Kafka's directory: taken only where it is free, empty or its own."""

import contextlib
from pathlib import Path

import pytest

from localbroker.directory import Directory
from localbroker.errors import LocalBrokerError


def format_it(directory: Directory) -> None:
    with directory.formatting() as place:
        (directory.path / place).mkdir()


def test_a_new_directory_is_made_and_kept(tmp_path: Path) -> None:
    directory = Directory(tmp_path / "new" / "one")
    directory.claim()
    assert not directory.is_formatted

    format_it(directory)
    directory.release()

    again = Directory(tmp_path / "new" / "one")
    again.claim()
    assert again.is_formatted
    again.release()


def test_a_temporary_directory_is_deleted_at_its_release() -> None:
    directory = Directory(None)
    directory.claim()
    path = directory.path
    assert path.is_dir()

    directory.release()

    assert not path.exists()


def test_half_a_format_is_none(tmp_path: Path) -> None:
    directory = Directory(tmp_path)
    directory.claim()

    with contextlib.suppress(ZeroDivisionError), directory.formatting() as place:
        (directory.path / place).mkdir()
        raise ZeroDivisionError

    assert not directory.is_formatted
    directory.release()
    Directory(tmp_path).claim()  # and what is left over is still known as ours


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("meta.properties", "formatted by another Kafka; give an empty directory"),
        ("thesis.tex", "holds files that are not Kafka's; give an empty directory"),
    ],
)
def test_files_of_others_are_left_alone(tmp_path: Path, file: str, says: str) -> None:
    (tmp_path / file).write_text("dear")

    with pytest.raises(LocalBrokerError, match=says):
        Directory(tmp_path).claim()

    assert {each.name for each in tmp_path.iterdir()} == {file}


def test_another_version_s_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kafka-version").write_text("3.9.1\n")

    with pytest.raises(LocalBrokerError, match=r"was formatted by Kafka 3\.9\.1 and this is Kafka 4\.1\.0"):
        Directory(tmp_path).claim()


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    first = Directory(tmp_path)
    first.claim()

    with pytest.raises(LocalBrokerError, match="another broker runs in"):
        Directory(tmp_path).claim(patience=0)

    first.release()
    Directory(tmp_path).claim(patience=0)


def test_a_directory_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(LocalBrokerError, match="Not a directory; give a writable directory") as raised:
        Directory(tmp_path / "file" / "below").claim()

    assert "\n" not in str(raised.value)
