"""How much memory there is: the machine's, or what a container was given; `serve` takes half, `doctor` looks at all."""

import os
from pathlib import Path

import pytest

from engine.model import Model
from export.sample import random_model
from stream import settings
from stream.configuration import load
from stream.ops.checkup_local import of_memory

MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
MIB = 1 << 20


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the control group says of its limit; nothing yet."""
    monkeypatch.setattr(settings, "GROUP_LIMIT", tmp_path / "memory.max")
    return tmp_path / "memory.max"


@pytest.mark.parametrize(("said", "there"), [(None, MACHINE), ("max\n", MACHINE), (f"{64 * MIB}\n", 64 * MIB)])
def test_half_of_what_there_is_is_for_rows(group: Path, said: str | None, there: int) -> None:
    if said is not None:
        group.write_text(said)
    assert settings.memory() == there
    assert load({}, None, ()).limits.memory_limit == there // 2


def test_a_limit_beyond_what_the_container_has_is_a_fault(group: Path, tmp_path: Path) -> None:
    random_model(tmp_path / "model.onnx", hidden=4)
    model = Model(tmp_path / "model.onnx")
    group.write_text(str(64 * MIB))
    (finding,) = of_memory(load({("limits", "memory_limit"): 65 * MIB}, None, ()), model)
    assert (finding.level, "there are 64 MiB" in finding.seen) == ("fault", True)
    (finding,) = of_memory(load({("limits", "memory_limit"): 32 * MIB}, None, ()), model)
    assert finding.level != "fault"
