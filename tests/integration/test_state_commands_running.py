"""`statecast state get`, `list` and `reset` beside a running service, and what is refused while there is one."""

import json
from pathlib import Path

import numpy as np
import pytest

from export.signature import load
from loadtest.partitioner import partition_of
from stream.broker.clients import choose
from stream.broker.port import Identity
from stream.errors import SinkFailed
from tests.integration.application import Application, MakeApplication, homes
from tests.integration.state_commands import done, produce_at, refusal, streams
from tests.service import eventually, produce, read


def test_streams_of_a_running_service_are_told_and_reset(make: MakeApplication, tmp_path: Path) -> None:
    one, file = make(), tmp_path / "a.state"
    one.feed(400)
    home = homes(one)
    strange, odd = b"\xff%", b"stream-7"
    aside = (home[odd] + 1) % 3
    produce_at(one, aside, [odd] * 2)  # by another producer's partitioner: another stream
    produce(one.servers, one.input, [(strange, b'{"value": 2.5}')] * 3)
    with one.serving("--checkpoint-interval", "1", "--client", "kafka-python"):
        one.predicted(405)
        rows = eventually("the rows are there", lambda: len(told := streams(one)) == 42 and told, 90)
        assert rows == sorted(rows, key=lambda row: (row["partition"], row["key"] is None, row["key"] or ""))
        assert {(r["key"], r["partition"]): r["step"] for r in rows if r["key"] == "stream-7"} == {
            ("stream-7", home[odd]): 10,
            ("stream-7", aside): 2,
        }
        assert len(streams(one, "--prefix", "stream-1")) == 11
        assert len(streams(one, "--limit", "5")) == 5
        assert {row["partition"] for row in streams(one, "--partition", "2")} == {2}
        lines = done(one, "list", "--prefix", "stream-39").splitlines()
        assert [line.split()[-1] for line in lines if not line.startswith("#")] == ["stream", "stream-39"]
        assert len([line for line in lines if line.startswith("# partition")]) == 3

        row = json.loads(done(one, "get", "%FF%25", "--values", "--json", "--model", str(one.model)))
        assert (row["key"], row["key_percent"], row["step"], row["state"]) == (None, "%FF%25", 3, "warm")
        tensors = {tensor.input: tensor for tensor in load(one.model)[1].state}
        assert {name: np.shape(values) for name, values in row["values"].items()} == {
            name: tensor.shape for name, tensor in tensors.items()
        }
        assert f"has no row of stream {one.name}" in refusal(one, "get", one.name, code=1)
        assert "has 3 partitions" in refusal(one, "get", "x", "--partition", "3")
        line = refusal(one, "export", "--out", str(file), code=1)
        assert "its group has 1 members; stop the service" in line
        assert not file.exists()

        for name in ("confluent", "kafka-python"):
            assert_no_outsider_commits(one, name)

        told = done(one, "reset", "stream-7", "nobody")
        assert f"stream-7: reset by a null record to {one.input} [{aside}]" in told
        assert f"stream-7: reset by a null record to {one.input} [{home[odd]}]" in told
        assert "nobody: no row in" in told
        assert "11 streams of" in done(one, "reset", "--all", "--prefix", "stream-1")
        assert "sent 11 null records" in done(one, "reset", "--all", "--prefix", "stream-1", "--yes")
        assert "not both" in refusal(one, "reset", "x", "--all")
        # An empty row is followed by a tombstone soon.
        eventually("they are cold", lambda: sum(row["state"] == "warm" for row in streams(one)) == 42 - 13, 90)

    resets = [(r.key, r.partition) for r in read(one.servers, one.input) if r.value is None]
    ones = [key for key in home if key.startswith(b"stream-1")]
    placed = {
        (odd, home[odd]),
        (odd, aside),
        *((key, home[key]) for key in ones),
        (b"nobody", partition_of([b"nobody"], 3)[0]),
    }
    assert len(resets) == 14
    assert set(resets) == placed

    produce(one.servers, one.input, [(strange, b'{"value": 2.5}')] * 2)
    told = done(one, "get", "%FF%25", "--input-topic", one.input)
    assert "3 steps since its cold start" in told
    assert "the row lacks 2 events of this stream" in told
    told = done(one, "get", "stream-8", "--input-topic", one.input)
    assert "the row lacks no event" in told


def assert_no_outsider_commits(application: Application, name: str) -> None:
    """While the group has members, the brokers take no offsets from one that never joined: what an import rests on."""
    client = choose(name)
    identity = Identity(application.servers, application.name, f"{application.name}-{name}")
    sink = client.sink(identity, transactional=True, timeout=10)
    source = client.source(identity, application.input, session_timeout=10, group_protocol="classic")
    sink.begin()
    with pytest.raises(SinkFailed):
        sink.send_offsets({0: 0}, source.group(), 10)
    source.close(leave=False)
    sink.close()
