"""Symbols, classes and models with a clock are served as numbers are: exactly once, with the bits of the replay."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from export.config import Config
from export.sample import random_file
from loadtest.errors import UsageError
from loadtest.verify import verify
from tests.service import command, produce, read, serving

SYMBOLS = ("", "up", "down", "disk full", "100%")
CLASSES = ("calm", "storm")
MODELS: dict[str, tuple[Config, dict[str, Any]]] = {
    "symbol": (
        Config(("log",), ("log",), 8, task="symbol", outcomes=5, embedding=4, cell="gru", since_last=True, recall=16),
        {"symbols": SYMBOLS},
    ),
    "class": (Config(("a", "b"), ("kind",), 8, task="class", outcomes=2, cell="graves-lstm"), {"classes": CLASSES}),
    "number": (
        Config(("a",), ("a",), 8, lags=(1, 2), cell="rnn", head="normal", calendar=("hour", "year"), since_last=True),
        {},
    ),
}


def lines(features: tuple[str, ...], task: str, count: int) -> list[tuple[str, int, dict[str, Any]]]:
    """(key, time, what the event says) of some streams; a tenth of the values is missing."""
    chance, time, found = random.Random(3), 1_700_000_000_000, []
    for _ in range(count):
        time += chance.choice((1, 400, 90_000))
        says = (*SYMBOLS[1:], "never seen") if task == "symbol" else [round(chance.gauss(20, 5), 2)]
        values = {name: None if chance.random() < 0.1 else chance.choice(says) for name in features}
        found.append((f"s{chance.randrange(9)}", time, values))
    return found


@pytest.mark.parametrize("task", MODELS)
def test_every_task_is_served_once_with_the_bits_of_the_replay(
    task: str, kafka: Any, tmp_path: Path, make_topic: Callable[..., str]
) -> None:
    config, facts = MODELS[task]
    model = tmp_path / "model.onnx"
    random_file(model, config, **facts)
    servers, source = kafka.bootstrap_servers, make_topic(partitions=1)
    events = lines(config.features, task, 400)
    records = [(key.encode(), json.dumps({**values, "ts": time}).encode()) for key, time, values in events]

    restarts = task == "symbol"
    for part in [records[:250], records[250:]] if restarts else [records]:
        produce(servers, source, part)
        with serving(
            tmp_path / "serve.log", "--model", str(model), "--bootstrap-servers", servers, "--input-topic", source,
            "--output-topic", f"{source}.out", "--application-id", source, "--session-timeout", "6", "--until-end",
        ) as service:  # fmt: skip
            assert service.wait() == 0, service.log.read_text()

    rows = [[key, time, *("" if v is None else v for v in values.values())] for key, time, values in events]
    csv = "\n".join(",".join(map(str, row)) for row in [["key", "time", *config.features], *rows])
    (tmp_path / "data.csv").write_text(csv + "\n")
    replayed = command(
        "replay", "--model", str(model), "--input", str(tmp_path / "data.csv"), "--output", str(tmp_path / "out.jsonl"),
        "--key", "key", "--time", "time", "--batch", "7",
    )  # fmt: skip
    assert replayed.returncode == 0, replayed.stderr
    published = [b'{"key":%b,%b' % (orjson.dumps(r.key.decode()), r.value[1:]) for r in read(servers, f"{source}.out")]
    assert published == (tmp_path / "out.jsonl").read_bytes().splitlines()
    assert len(published) == 400


def test_verify_of_another_task_than_numbers_says_what_it_cannot(kafka: Any, tmp_path: Path) -> None:
    config, facts = MODELS["symbol"]
    random_file(tmp_path / "model.onnx", config, **facts)
    with pytest.raises(UsageError, match=r"its task is symbol; .* `statecast replay`"):
        verify(kafka.bootstrap_servers, tmp_path / "model.onnx", "in", "out")
