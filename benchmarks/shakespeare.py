"""How well the plain `statecast train --text characters` tells a text's next character, within 350 000 weights.

The goal is that of the text "tinyshakespeare" (Karpathy 2015), of which the project holds no copy: the first nine
tenths are for training and validation, the last one is read once, as a stream, character by character.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

from benchmarks.common import benchmark, show, statecast

GOAL_NATS, GOAL_MINUTES = 1.50, 25.0
WEIGHTS = 350_000
SHARES = ("--train-share", "0.8", "--valid-share", "0.1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a text file")
    parser.add_argument("--seed", default="0")
    parser.add_argument("--threads", help="of PyTorch; else as many as there are processors")
    options = parser.parse_args()
    size = f"{options.data.name}, {options.data.stat().st_size} bytes, at most {WEIGHTS} weights"
    with benchmark(size), tempfile.TemporaryDirectory() as name:
        asked = ["--max-parameters", str(WEIGHTS), "--budget", str(GOAL_MINUTES), "--seed", options.seed, *SHARES]
        asked += ["--threads", options.threads] if options.threads else []
        began = time.monotonic()
        statecast("train", str(options.data), "--text", "characters", *asked, "--out", name)
        minutes = (time.monotonic() - began) / 60
        metrics = json.loads((Path(name) / "metrics.json").read_bytes())
        found, training = metrics["all"], metrics["training"]
        rows: list[list[object]] = [
            ["nats a character, test part", GOAL_NATS, found["model"]["nats"]],
            ["minutes, all in all", GOAL_MINUTES, minutes],
        ]
        show(["", "goal", "reached"], rows)
        rivals = ", ".join(f"{rival} {found[rival]['nats']:.3f}" for rival in ("ngram", "unigram"))
        print(f"{training['epochs']} epochs, the best was {training['best_epoch']}; {rivals}")
        print(*metrics["notes"], sep="\n")


if __name__ == "__main__":
    main()
