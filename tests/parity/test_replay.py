"""`statecast replay`: the bytes it writes do not depend on how many events are stepped at a time."""

import random
from pathlib import Path

import orjson
import pytest

from export.sample import random_model
from tests.service import command


class World:
    """A model and a file of events in which streams fall silent for a while."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        random_model(folder / "model.onnx", hidden=8, scaling="stream", lags=(1, 2))
        chance, time = random.Random(5), 1_700_000_000_000
        lines = ["sensor,when,value"]
        for i in range(3000):
            time += chance.choice((0, 1, 50, 700))
            value = "" if i % 17 == 3 else f"{chance.gauss(20, 5):.2f}"
            lines.append(f"s{min(chance.randrange(40), chance.randrange(40))},{time},{value}")
        (folder / "data.csv").write_text("\n".join(lines) + "\n")

    def arguments(self, *more: str) -> list[str]:
        of = {"--model": "model.onnx", "--input": "data.csv", "--output": "out.jsonl"}
        places = [part for flag, name in of.items() for part in (flag, str(self.folder / name))]
        return ["replay", *places, "--key", "sensor", "--value", "value", *more]

    def replay(self, *more: str) -> bytes:
        result = command(*self.arguments("--time", "when", *more))
        assert result.returncode == 0, result.stderr
        return (self.folder / "out.jsonl").read_bytes()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize("more", [[], ["--state-ttl", "8.5"]], ids=["for ever", "8.5 s"])
def test_the_batch_changes_no_byte(world: World, more: list[str]) -> None:
    singly = world.replay("--batch", "1", *more)

    assert world.replay("--batch", "7", *more) == singly
    assert world.replay("--batch", "16384", *more) == singly
    assert singly.count(b"\n") == 3000


def test_after_its_time_to_live_a_stream_starts_cold(world: World) -> None:
    last: dict[str, int] = {}
    colds = 0
    for line in world.replay("--state-ttl", "8.5").splitlines():
        event = orjson.loads(line)
        key, time = event["key"], event["ts"]
        cold = key not in last or time - last[key] > 8500
        assert (event["step"] == 1) == cold, line
        assert not cold or event["surprise"] is None
        last[key] = time
        colds += cold
    assert len(last) < colds < 2000
    assert world.replay("--state-ttl", "8.5") != world.replay()


@pytest.mark.parametrize("more", [["8"], ["nan", "--time", "when"], ["inf", "--time", "when"], ["0", "--time", "when"]])
def test_a_time_to_live_that_means_nothing_is_told(world: World, more: list[str]) -> None:
    result = command(*world.arguments("--state-ttl", *more))

    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "--state-ttl" in result.stderr
