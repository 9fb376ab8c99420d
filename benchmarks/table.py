"""What the service costs, against its goals and against a plain loop: `make bench`.

Each case is measured on the real thing: `statecast serve` as a process, an Apache Kafka on the same machine, JSON in
and out in the full format, checkpoints as they are by default, one LSTM layer of 64, five quantiles, no lags. Processor
time is user and system of the whole service process over a drain, start-up excluded. One line per case: the figure, its
goal, and how many times less than that of a plain loop on kafka-python, measured in the same run, a cost is. The same
goes to a JSON file. `--cases` picks some; a busy machine makes every figure worse.
"""

import argparse
import json
import statistics
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import cases, latencies
from benchmarks.bench import Bench
from benchmarks.common import benchmark
from export.sample import random_model
from localbroker.broker import LocalBroker

MOST, LEAST = "at most", "at least"


@dataclass(frozen=True)
class Case:
    """One figure and its goal. `bound` says which side of the goal is met."""

    name: str
    group: str  # what measures it, together with others
    unit: str
    goal: float
    bound: str = MOST


EVENT, SPEED, MS, MB = "µs of processor time an event", "events/s", "ms", "bytes beside the row"
CASES = (  # latencies first: what a drain leaves to be written to the disk disturbs them
    Case("20 k events/s, at least once, p50", "latency-at-least-once", MS, 5),
    Case("the same, p99", "latency-at-least-once", MS, 20),
    Case("20 k events/s, exactly once every 50 ms, p99", "latency-exactly-once", MS, 120),
    Case("process start to first prediction", "first-start", "s", 2.5),
    Case("100 events/s, at least once, p99", "idle", MS, 15),
    Case("the same, processor", "idle", "% of a core", 5),
    Case("confluent, exactly once, 20 k streams", "exactly-once", EVENT, 5.0),
    Case("the same, speed", "exactly-once", SPEED, 170_000, LEAST),
    Case("the same, at least once", "at-least-once", EVENT, 4.8),
    Case("the same, exactly once, msgpack", "msgpack", EVENT, 4.3),
    Case("the same, exactly once, 1 M streams", "million", EVENT, 7.0),
    Case("one hot stream with half of all events", "hot", EVENT, 5.5),
    Case("kafka-python, exactly once, 20 k streams", "kafka-python", EVENT, 26.0),
    Case("the same, speed", "kafka-python", SPEED, 36_000, LEAST),
    Case("times cheaper than a plain loop", "plain", "times", 10.0, LEAST),
    Case("memory of a stream, 10 M streams", "memory", MB, 250),
    Case("memory of the process, 10 M streams", "memory", "GB", 9),
)
GROUPS = tuple(dict.fromkeys(case.group for case in CASES))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=GROUPS, default=GROUPS)
    parser.add_argument("--events", type=int, default=1_000_000, help="of a drain")
    parser.add_argument("--streams", type=int, default=10_000_000, help="of the memory's case")
    parser.add_argument("--seconds", type=float, default=20.0, help="of a latency")
    parser.add_argument("--repeat", type=int, default=3, help="drains of a case; the median counts")
    parser.add_argument("--json", type=Path, default=Path("bench.json"))
    options = parser.parse_args()
    wanted = [case for case in CASES if case.group in options.cases]
    lines: list[dict[str, object]] = []
    with (
        benchmark(f"{options.events} events a drain, median of {options.repeat}"),
        tempfile.TemporaryDirectory(prefix="statecast-bench-") as name,
        LocalBroker(heap="1g") as broker,
    ):
        folder = Path(name)
        random_model(folder / "model.onnx", hidden=64)
        bench = Bench(broker.bootstrap_servers, folder, options.events, options.seconds, options.streams)
        plain = statistics.median(bench.plain_loop() for _ in range(options.repeat))
        print(f"plain loop: {plain:.1f} {EVENT}", flush=True)
        if {case.unit for case in wanted} & {MS}:
            floor = latencies.echo(bench, 20_000)
            lines += [_floor(name, floor[name]) for name in ("p50", "p99")]
        print()
        for group in dict.fromkeys(case.group for case in wanted):
            figures = cases.measure(bench, group, plain, options.repeat)
            for case, figure in zip([c for c in wanted if c.group == group], figures, strict=True):
                lines.append(_told(case, figure, plain))
                options.json.write_text(json.dumps(lines, indent=1, ensure_ascii=False) + "\n")
    verdicts = [line["met"] for line in lines if line["met"] is not None]
    print(f"\n{sum(map(bool, verdicts))} of {len(verdicts)} goals met; {options.json}")


def _floor(percentile: str, figure: float) -> dict[str, object]:
    """What no service can be below, on this machine with this load test."""
    name = f"an echo that computes nothing, 20 k events/s, {percentile}"
    print(f"{name}: {figure:.1f} {MS}", flush=True)
    rest = dict.fromkeys(("bound", "goal", "met", "ratio"))
    return {"case": name, "group": "echo", "figure": round(figure, 3), "unit": MS, **rest}


def _told(case: Case, figure: float, plain: float) -> dict[str, object]:
    met = figure <= case.goal if case.bound == MOST else figure >= case.goal
    ratio = round(plain / figure, 1) if case.unit == EVENT else None
    verdict = "met" if met else "MISSED"
    beside = "" if ratio is None else f"{ratio:.1f} x less than a plain loop"
    goal = f"goal {case.bound} {case.goal:>7,g}"
    print(f"{case.name:<46} {figure:>12,.2f} {case.unit:<30} {goal}  {verdict:<6}  {beside}", flush=True)
    told = asdict(case) | {"case": case.name, "figure": round(figure, 3), "met": met, "ratio": ratio}
    return {key: told[key] for key in ("case", "group", "figure", "unit", "bound", "goal", "met", "ratio")}


if __name__ == "__main__":
    main()
