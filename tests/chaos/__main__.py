"""`python -m tests.chaos`, which is what `make chaos` runs. Exit code 1 where anything is wrong, 130 after Ctrl-C."""

import argparse
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from tests.chaos.run import Options, run


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Random faults, and what they cost.")
    parser.add_argument("--faults", type=int, default=20, help="how many faults")
    parser.add_argument("--seconds", type=float, default=120.0, help="over how long")
    parser.add_argument("--seed", type=int, default=None, help="the same seed plans the same faults and events")
    parser.add_argument("--client", choices=("confluent", "kafka-python"), default="confluent")
    parser.add_argument("--delivery", choices=("exactly_once", "at_least_once"), default="exactly_once")
    parser.add_argument("--rate", type=int, default=2500, help="records a second")
    parser.add_argument("--json", type=Path, default=Path("chaos.json"))
    given = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
    folder = Path(tempfile.mkdtemp(prefix=f"statecast-chaos-{seed}-"))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(f"seed {seed}; logs in {folder}", flush=True)
    options = Options(seed, folder, given.faults, given.seconds, given.client, given.delivery, given.rate)
    try:
        report = run(options, lambda line: print(line, flush=True))
    except KeyboardInterrupt:
        print(f"interrupted; the logs are in {folder}")
        return 130
    report.write(given.json)
    print(report.table())
    if report.wrong():
        print(f"the logs are in {folder}; again: make chaos SEED={seed} FAULTS={given.faults} "
              f"SECONDS={given.seconds:g} CLIENT={given.client} DELIVERY={given.delivery}")  # fmt: skip
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
