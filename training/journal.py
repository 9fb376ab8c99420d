"""What a run writes of its epochs while it goes on: metrics.jsonl, and event files for TensorBoard."""

import json
from pathlib import Path
from typing import Any

from training.progress import Progress, Row, silent

LINES, EVENTS = "metrics.jsonl", "tensorboard"
CURVES = {
    "loss/training": "train_loss",
    "loss/validation": "valid_loss",
    "learning_rate": "learning_rate",
    "events_per_second": "events_per_second",
}


class Journal:
    """A run's epochs, in memory and on disk, begun anew: a run that is resumed reports its first epochs once more."""

    def __init__(self, folder: Path, tensorboard: bool = False, report: Progress = silent) -> None:
        """report: gets each row after it is written. Raises ModuleNotFoundError without tensorboardX where asked."""
        self.rows: list[Row] = []
        self.lines = folder / LINES
        self.report = report
        self.writer: Any = _writer(folder / EVENTS) if tensorboard else None
        self.lines.write_bytes(b"")

    def write(self, row: Row) -> None:
        """Keep an epoch's row."""
        self.rows.append(row)
        with self.lines.open("a") as lines:
            lines.write(json.dumps(row, separators=(",", ":")) + "\n")
        if self.writer:
            for name, column in CURVES.items():
                self.writer.add_scalar(name, row[column], row["epoch"])
            self.writer.flush()
        self.report(row)

    def close(self) -> None:
        """Nothing more comes."""
        if self.writer:
            self.writer.close()


def _writer(folder: Path) -> Any:
    from tensorboardX import SummaryWriter

    for old in folder.glob("events.out.tfevents.*"):
        old.unlink()
    return SummaryWriter(str(folder), write_to_disk=True)
