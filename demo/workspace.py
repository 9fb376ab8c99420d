"""Where a run puts its things: demo-report/ with the report, and under it what the steps made and printed."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from demo.errors import StepFailed


@dataclass(frozen=True)
class Options:
    """What may be asked of a run. The defaults are `make demo`."""

    out: Path = Path("demo-report")
    hours: int | None = None  # of the data; None is all of it
    train_seconds: float = 60.0
    rate: float = 1000.0  # events a second in the latency phase
    bootstrap_servers: str = ""  # a broker that is there; empty starts one


class Workspace:
    """The folders of one run; an older report is replaced."""

    def __init__(self, out: Path) -> None:
        """Raises StepFailed where the folder holds something else, or cannot be written."""
        self.out = out.absolute()
        self.logs = self.out / "logs"
        if out.exists() and not (self.logs.is_dir() or not any(out.iterdir())):
            raise StepFailed(f"--out {out}: holds files that are not a report; give another folder")
        try:
            shutil.rmtree(out, ignore_errors=True)
            self.logs.mkdir(parents=True)
        except OSError as error:
            raise StepFailed(f"--out {out}: cannot be written ({error.strerror}); give another folder") from None
        self.data = self.out / "weather.csv"
        self.run = self.out / "run"
        self.model = self.run / "model.onnx"
        self.replayed = self.out / "replayed.jsonl"
        self.summary = self.out / "summary.json"
        self.page = self.out / "index.html"

    def log(self, step: str) -> Path:
        """What a step printed."""
        return self.logs / f"{step}.log"
