"""Metrics: each is declared once, its labels are bounded, and the page says what is declared."""

import ast
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from engine.model import Model
from engine.step import Engine
from export.sample import random_model
from stream import metrics
from stream.broker.port import Records
from stream.codec import Codec
from stream.formats import Json
from stream.metrics import DECLARED, REGISTRY, WORKERS, Declared
from stream.partitions import Phase
from stream.pipeline import Pipeline, Topics
from stream.recent import Recent
from stream.state.changelog import Rules
from tests.pages import table_of
from tests.service import ROOT

OPERATIONS, MESSAGES = (ROOT / "docs" / f"{name}.md" for name in ("operations", "messages"))
HEAD = "| metric | type | unit | labels | says |"
UNITS = ("seconds", "bytes", "events", "rows", "streams")  # that a name ends with where it is of one


def table() -> str:
    """What docs/operations.md has to say of the metrics."""
    lines = [HEAD, "|---|---|---|---|---|"]
    for one in DECLARED:
        labels = ", ".join(f"`{label.name}`" + _values(label.values) for label in one.labels)
        lines.append(f"| `{one.name}` | {one.type} | {one.unit} | {labels} | {one.help} |")
    return "\n".join(lines)


def _values(values: tuple[str, ...]) -> str:
    return f": {', '.join(values)}" if values else ""


def exposed() -> str:
    return (generate_latest(REGISTRY) + generate_latest(WORKERS)).decode()


def test_the_table_of_metrics_is_what_is_declared() -> None:
    assert table_of(OPERATIONS, HEAD) == table(), (
        f"{OPERATIONS}: put this in place of the table of metrics:\n\n{table()}\n"
    )


def test_what_is_shown_is_what_is_declared_and_the_process() -> None:
    shown = {
        f"{family.name}_total" if family.type == "counter" else family.name: family
        for family in text_string_to_metric_families(exposed())
        if not family.name.startswith("process_")
    }
    assert shown.keys() == {one.name for one in DECLARED}
    for one in DECLARED:
        assert (shown[one.name].type, shown[one.name].documentation) == (one.type, one.help)


@pytest.mark.parametrize("one", DECLARED, ids=lambda one: one.name)
def test_a_name_says_type_and_unit_as_prometheus_has_it(one: Declared) -> None:
    assert one.name.startswith("statecast_")
    assert one.name.endswith("_total") == (one.type == "counter")
    assert one.name.endswith("_info") <= (one.unit == "")
    base = one.name.removesuffix("_total")
    named = [unit for unit in UNITS if base.endswith(f"_{unit}")]
    if one.type != "counter":  # what is counted stands in a counter's name
        assert named in ([], [one.unit]), f"{one.name} is of {one.unit}"
    if one.unit in ("seconds", "bytes"):
        assert named == [one.unit]
    assert one.help.endswith(".")
    assert not {label.name for label in one.labels} & {"le", "quantile", "job", "instance"}


def test_prometheus_itself_finds_nothing_to_say() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not here (Debian: apt-get install prometheus); the other tests hold names and units")
    found = subprocess.run([promtool, "check", "metrics"], input=exposed(), capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout + found.stderr) == (0, "")


def test_every_value_that_a_label_may_have_is_declared() -> None:
    assert set(metrics.PHASES) == {phase.value for phase in Phase}
    (row,) = re.findall(r"^\| `__statecast\.errors\.code` \|.*", MESSAGES.read_text(), re.MULTILINE)
    assert set(metrics.CODES) == set(re.findall(r"`([a-z_]+)`", row))
    assert _codes() <= set(metrics.CODES)


def _codes() -> set[str]:
    """Codes of dead letters as the reading of events has them: of each Rejection, and of each format."""
    found = set()
    for path in (ROOT / "stream").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name("Rejection"), args=[ast.Constant(str(code)), *_]):
                    found.add(code)
                case ast.Assign(targets=[ast.Name("code")], value=ast.Constant(str(code))):
                    found.add(code)
    assert len(found) > 5
    return found


def series() -> set[str]:
    return {line.rpartition(" ")[0] for line in exposed().splitlines() if not line.startswith("#")}


class Nowhere:
    """A delivery."""

    def publish(self, *_: object) -> None:
        pass


def test_a_thousand_streams_with_good_and_bad_events_add_no_series(tmp_path: Path) -> None:
    random_model(tmp_path / "model.onnx", hidden=4)
    model = Model(tmp_path / "model.onnx")
    codec = Codec(Json(), model.signature, "ab" * 32, max_key_bytes=10, max_value_bytes=100)
    pipeline = Pipeline(Topics("in", "out", "dead", 1 << 20), Engine(model, 5000), lambda _: codec, Recent(3))
    rules = Rules(state_ttl=None, max_key_bytes=10, max_value_bytes=100, codec="json")
    before, bad = series(), [b"{", b'{"value": "x"}', b'{"value": 1, "ts": "x"}', b"1" * 200]
    for start in range(0, 1000, 100):
        keys = [b"k%d" % n for n in range(start, start + 100)]
        batch = Records(0, [*range(start, start + 100)], [1] * 100, [*keys], [b'{"value": 1.5}'] * 96 + bad)
        published = pipeline.run([batch], rules, {0: 0}, Nowhere())  # type: ignore[arg-type]
        assert published.predictions == 96
        for code, count in published.letters.items():
            metrics.DEAD_LETTERS.labels(code).inc(count)
    assert series() == before
