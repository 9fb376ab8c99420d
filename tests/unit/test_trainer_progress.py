"""What the one who watches sees, and what a run writes of its epochs."""

import io
import json
import struct
import sys
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event

import statecast
from training.journal import Journal
from training.progress import Row, Watch, line


def row(epoch: int) -> Row:
    return {
        "epoch": epoch,
        "epochs": 40,
        "seconds": 61.2,
        "train_loss": 1 / epoch,
        "valid_loss": 2 / epoch,
        "best_loss": 2 / epoch,
        "best_epoch": epoch,
        "events_per_second": 12345,
        "learning_rate": 0.003,
        "left_seconds": 3725.0,
    }


def points(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """The scalars of the event files in a folder: TFRecords of length, its checksum, an Event, its checksum."""
    found: dict[str, list[tuple[int, float]]] = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        content, at = path.read_bytes(), 0
        while at < len(content):
            (length,) = struct.unpack_from("<Q", content, at)
            event = Event.FromString(content[at + 12 : at + 12 + length])
            at += 16 + length
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def test_an_epoch_is_told_in_one_line() -> None:
    assert line(row(4)) == (
        "epoch   4/40  1:01, at most 1:02:05 left  training 0.2500  validation 0.5000  best 0.5000 in epoch 4  "
        "12,345 events/s"
    )
    assert line(row(4) | {"left_seconds": 0.0}).startswith("epoch   4/40  1:01, training is over  training 0.2500")


def test_without_a_terminal_each_epoch_is_a_line() -> None:
    said = io.StringIO()
    with Watch(said, terminal=False) as watch:
        watch.say("RUN: training goes on after epoch 1")
        watch.within({"epoch": 2, "epochs": 40, "share": 0.5})
        watch.epoch(row(2))
        watch.epoch(row(3))
    assert said.getvalue().splitlines() == ["RUN: training goes on after epoch 1", line(row(2)), line(row(3))]


def test_on_a_terminal_one_line_changes() -> None:
    said = io.StringIO()
    with Watch(said, terminal=True) as watch:
        watch.within({"share": 0.25, **{k: v for k, v in row(1).items() if "best" not in k and k != "valid_loss"}})
        watch.epoch(row(1))
        watch.within({"share": 0.5, **row(2)})
        watch.epoch(row(2))
    shown = said.getvalue()
    assert line(row(2))[:60] in shown
    assert shown.count("\n") == 1  # the rest is written over


def test_within_an_epoch_the_last_score_still_stands() -> None:
    shown = line({"share": 0.5, **row(2)})
    assert shown.startswith("epoch   2/40  50%  1:01, at most 1:02:05 left  training 0.5000  validation 1.0000  best")


def test_the_journal_begins_anew_and_keeps_each_epoch(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text("of an older run\n")
    reported: list[Row] = []
    journal = Journal(tmp_path, report=reported.append)
    journal.write(row(1))
    journal.write(row(2))
    journal.close()
    lines = [json.loads(text) for text in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines == journal.rows == reported == [row(1), row(2)]
    assert {path.name for path in tmp_path.iterdir()} == {"metrics.jsonl"}


def test_without_the_package_of_event_files_its_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    monkeypatch.setattr(statecast, "register", lambda: Journal(tmp_path, tensorboard=True))
    with pytest.raises(SystemExit) as caught:
        statecast.main()
    assert caught.value.code == 1
    assert capsys.readouterr().err == (
        "statecast: this command needs tensorboardX, which is not installed; pip install 'statecast[tensorboard]'\n"
    )


def test_event_files_hold_the_curves_once_even_after_a_resume(tmp_path: Path) -> None:
    for epochs in (2, 3):  # killed, and begun again
        journal = Journal(tmp_path, tensorboard=True)
        for epoch in range(1, epochs + 1):
            journal.write(row(epoch))
        journal.close()
    found = points(tmp_path / "tensorboard")
    assert set(found) == {"loss/training", "loss/validation", "learning_rate", "events_per_second"}
    assert [step for step, _ in found["loss/training"]] == [1, 2, 3]
    assert [value for _, value in found["loss/training"]] == pytest.approx([1, 1 / 2, 1 / 3])
