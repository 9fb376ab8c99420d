"""What an event that is refused does to its stream: nothing, or it is frozen until a reset, or cold."""

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.columns import Columns
from engine.model import Model
from engine.replay import cut
from engine.rows import FROZEN, Policy
from engine.step import Engine
from stream.broker.port import Records
from stream.codec import Codec
from stream.deadletters import refusals
from stream.formats import Json
from stream.state.changelog import MARKER, Marker, Rules, marker_value, read
from tests.fragile import fragile_model
from tests.lives import PLAIN as GOOD
from tests.lives import RESET as NULL
from tests.lives import Life, fill, filled, letters, live, replay, told

PLAIN, RESET, UNREADABLE, UNSTEPPABLE = range(4)
POLICIES: list[Policy] = ["skip", "freeze", "reset"]
Move = tuple[int, int, int]  # stream, kind, milliseconds since the event before


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return Model(
        fragile_model(tmp_path_factory.mktemp("model") / "model.onnx", hidden=4, scaling="stream", lags=(1, 2))
    )


def columns(moves: list[Move]) -> Columns:
    """Events of partition 0; their values follow from their places."""
    kind = np.array([kind for _, kind, _ in moves])
    when = np.cumsum([gap for _, _, gap in moves]).astype(np.int64)
    x = np.where(kind == UNSTEPPABLE, -5000, np.arange(len(moves)) * 37 % 101).astype(np.float32)[:, None]
    there = np.isin(kind, (PLAIN, UNSTEPPABLE)).astype(np.float32)[:, None]
    return Columns(
        runs=[(0, 0, len(moves))],
        keys=[b"stream %d" % stream for stream, _, _ in moves],
        offset=np.arange(len(moves)),
        time=when,
        timestamp=when,
        x=x * there,
        mask=there,
        reset=np.isin(kind, (RESET, UNREADABLE)),
        poison=kind == UNREADABLE,
    )


def stepped(
    model: Model, moves: list[Move], policy: Policy, batch: int, ttl: int | None
) -> Iterator[tuple[object, ...]]:
    """What is said of each event: its bits, or that it is refused, frozen, or no value."""
    engine, whole = Engine(model, 10), columns(moves)
    for start in range(0, len(moves), batch):
        outcome = engine.step(cut(whole, start, min(start + batch, len(moves))), ttl, policy)
        engine.keep()
        for i in range(len(outcome.stepped)):
            if outcome.stepped[i]:
                bits = (outcome.predicted[i].tobytes(), outcome.surprise[i].tobytes())
                yield int(outcome.step[i]), *bits
            else:
                yield ("refused" if i in outcome.refused else "frozen" if i in outcome.frozen else "no value",)


def by_hand(model: Model, moves: list[Move], policy: Policy, ttl: int | None) -> list[tuple[object, ...]]:
    """The same by an engine that knows no policy, one event at a time: frozen streams stand in a set, and what is
    refused is followed by a reset."""
    engine, found, frozen = Engine(model, 10), [], set[int]()
    for i, (stream, kind, _) in enumerate(moves):
        one = cut(columns(moves), i, i + 1)
        order = cut(columns([(s, RESET, gap) for s, _, gap in moves]), i, i + 1)
        said: tuple[object, ...] = ("no value",)
        if kind == RESET:
            frozen.discard(stream)
            engine.step(order, ttl)
        elif kind == UNREADABLE or stream in frozen:
            said = ("no value",) if kind == UNREADABLE else ("frozen",)
            engine.step(order, ttl)
        else:
            outcome = engine.step(one, ttl)
            bits = (outcome.predicted[0].tobytes(), outcome.surprise[0].tobytes())
            said = (int(outcome.step[0]), *bits) if outcome.stepped[0] else ("refused",)
            if outcome.refused:
                engine.step(order, ttl)
        if policy == "freeze" and (kind == UNREADABLE or said == ("refused",)):
            frozen.add(stream)
        found.append(said)
    return found


kinds = st.sampled_from([PLAIN] * 6 + [RESET, UNREADABLE, UNSTEPPABLE])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(
    moves=st.lists(
        st.tuples(st.integers(0, 3), kinds, st.sampled_from([0, 1, 9])),
        min_size=1,
        max_size=60,
    ),
    batch=st.integers(1, 60),
    policy=st.sampled_from(["freeze", "reset"]),
    ttl=st.sampled_from([None, 5, 20]),
)  # fmt: skip
def test_a_policy_is_what_resets_and_a_set_of_frozen_streams_would_do_however_events_are_batched(
    model: Model, moves: list[Move], batch: int, policy: Policy, ttl: int | None
) -> None:
    assert list(stepped(model, moves, policy, batch, ttl)) == by_hand(model, moves, policy, ttl)


MIXED = [(0, PLAIN, 1), (1, PLAIN, 1), (0, UNSTEPPABLE, 1), (0, PLAIN, 1), (1, PLAIN, 1), (0, RESET, 1), (0, PLAIN, 1)]


@pytest.mark.parametrize(
    ("policy", "steps"),
    [
        ("skip", [1, 1, "refused", 2, 2, "no value", 1]),
        ("reset", [1, 1, "refused", 1, 2, "no value", 1]),
        ("freeze", [1, 1, "refused", "frozen", 2, "no value", 1]),
    ],
)
@pytest.mark.parametrize("batch", [1, 7])
def test_each_policy_by_example(model: Model, policy: Policy, steps: list[object], batch: int) -> None:
    assert [said[0] for said in stepped(model, MIXED, policy, batch, None)] == steps


def test_a_stream_that_is_frozen_stays_so_under_another_policy_until_a_reset(model: Model) -> None:
    engine, whole = (
        Engine(model, 10),
        columns([(0, UNREADABLE, 1), (0, PLAIN, 1), (0, UNREADABLE, 1), (0, RESET, 1), (0, PLAIN, 1)]),
    )
    engine.step(cut(whole, 0, 1), None, "freeze")
    for policy in ("skip", "reset"):
        assert list(engine.step(cut(whole, 1, 2), None, policy).frozen) == [0]
    engine.step(cut(whole, 2, 3), None, "reset")
    assert engine.bank.step[0] == FROZEN
    assert engine.step(cut(whole, 3, 5), None, "skip").step.tolist() == [0, 1]


def test_what_is_put_back_is_not_frozen(model: Model) -> None:
    engine, whole = Engine(model, 10), columns([(0, PLAIN, 1), (0, UNSTEPPABLE, 1), (0, PLAIN, 1)])
    engine.step(cut(whole, 0, 1), None, "freeze")
    engine.keep()
    engine.step(cut(whole, 1, 3), None, "freeze")
    assert engine.bank.step[0] == FROZEN
    engine.put_back()
    assert engine.step(cut(whole, 2, 3), None, "freeze").step.tolist() == [2]


def test_the_codec_tells_of_what_it_rejects_where_a_stream_is_named(model: Model) -> None:
    keys = [b"a", None, b"a", b"k" * 9, b"a"]
    values = [b"{", b'{"value": 1}', b'{"value": 1}', b'{"value": 1}', None]
    records = Records(0, [3, 4, 5, 6, 7], [10] * 5, keys, values)
    codec = Codec(Json(), model.signature, "f" * 8, max_key_bytes=8, max_value_bytes=99, poison=True)
    decoded = codec.decode([records])
    assert [one.code for one in decoded.rejected] == ["not_json", "no_key", "key_too_long"]
    assert decoded.columns.offset.tolist() == [3, 5, 7]
    assert decoded.columns.reset is not None
    assert decoded.columns.reset.tolist() == [True, False, True]
    assert decoded.columns.poison is not None
    assert decoded.columns.poison.tolist() == [True, False, False]
    silent = Codec(Json(), model.signature, "f" * 8, max_key_bytes=8, max_value_bytes=99)
    assert silent.decode([records]).columns.offset.tolist() == [5, 7]
    assert silent.decode([records]).columns.poison is None


def test_the_letters_of_a_frozen_stream_say_so(model: Model) -> None:
    values: list[bytes | None] = [b'{"value": -5000}', b'{"value": 1}', b'{"value": 2}']
    parts = [Records(p, [5, 6, 7], [10] * 3, [b"a"] * 3, [*values]) for p in (0, 1)]
    decoded = Codec(Json(), model.signature, "f" * 8, max_key_bytes=8, max_value_bytes=99, poison=True).decode(parts)
    found = refusals(decoded, Engine(model, 10).step(decoded.columns, None, "freeze"), parts)
    assert [(one.partition, one.offset, one.value) for one in found] == [
        (p, 5 + i, value) for p in (0, 1) for i, value in enumerate(values)
    ]
    assert [one.code for one in found] == ["not_steppable", "stream_frozen", "stream_frozen"] * 2
    assert found[2].message.startswith("its stream is frozen since offset 5")


def test_a_changed_policy_holds_from_the_committed_offset_on_and_what_was_frozen_stays_so() -> None:
    options: dict[str, Any] = {"delivery": {"commit_interval": 0.05}, "most": 3}
    rows = {"checkpoint_interval": 50.0}
    for crash in (3, 4, 5):
        cluster = filled(1, [(0, i % 2, 2 if i in (1, 28) else GOOD) for i in range(30)])
        old = {"state": {"poison_policy": "freeze", **rows}, **options}
        live(cluster, 1, Life({("commit", crash): "crash"}), old)
        assert 1 < cluster.committed[0] < 28
        assert replay(cluster, 0) == 0, "a restore meets the event that froze its stream again"
        fill(cluster, 1, [(0, 0, GOOD), (0, 1, GOOD), (0, 1, NULL), (0, 1, GOOD)])
        for faults in ({20: "crash"}, {}):
            live(cluster, 1, Life(faults), {"state": {"poison_policy": "skip", **rows}, **options})
        steps = {offset: msgspec.json.decode(text)["step"] for offset, text in told(cluster, 0)}
        even = {offset: n for n, offset in enumerate([*range(0, 28, 2), 30], 1)}
        assert steps == {**even, 33: 1}, f"killed at commit {crash}"
        assert len(letters(cluster, 0)) == 15 + 1 + 1


def test_a_marker_of_an_earlier_version_had_the_policy_skip() -> None:
    marker = Marker(7, 8, 9, 0, "lineage", "topic", "app-one", Rules(None, 1, 2, "json", "freeze"), "1.31", "x86_64")
    assert read([MARKER], [marker_value(marker)], 3).marker == marker
    old = msgspec.json.decode(marker_value(marker))
    del old["rules"]["poison"]
    again = read([MARKER], [msgspec.json.encode(old)], 3).marker
    assert again is not None
    assert again.rules.poison == "skip"
