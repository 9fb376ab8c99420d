"""`statecast state export` and `import` against a real broker: what is carried over goes on with the same bits, and
what is not to be is refused."""

import io
import json
import signal
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stream.errors import StatecastError
from stream.topics import changelog_name
from tests.integration.application import Application, MakeApplication, one_line
from tests.integration.state_commands import done, produce_at, refusal, streams, words
from tests.service import command, eventually, produce, read, readings


def predictions(*applications: Application) -> dict[tuple[str, int], dict[str, Any]]:
    """(stream, step) -> what was said, but for the offset, which is another one in another topic."""
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for application in applications:
        for record in read(application.servers, application.output):
            said = json.loads(record.value)
            del said["offset"]
            assert (record.key.decode(), said["step"]) not in found
            found[record.key.decode(), said["step"]] = said
    return found


def reference(application: Application, count: int) -> dict[tuple[str, int], dict[str, Any]]:
    """The same of an offline replay of the first events that `feed` sends."""
    folder = application.folder
    lines = [(key, json.loads(value or b"")) for key, value in readings(count, streams=40)]
    rows = [f"{(key or b'').decode()},{v['ts']},{'' if v['value'] is None else v['value']}" for key, v in lines]
    (folder / "data.csv").write_text("\n".join(["key,time,value", *rows]) + "\n")
    replayed = command(
        "replay", "--model", str(application.model), "--input", str(folder / "data.csv"), "--output",
        str(folder / "out.jsonl"), "--key", "key", "--time", "time", "--value", "value",
    )  # fmt: skip
    assert replayed.returncode == 0, replayed.stderr
    found = {}
    for line in (folder / "out.jsonl").read_text().splitlines():
        said = json.loads(line)
        del said["offset"]
        found[said.pop("key"), said["step"]] = said
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a.state"


def test_a_state_goes_on_elsewhere_with_the_same_bits(
    make: MakeApplication, make_topic: Callable[..., str], file: Path
) -> None:
    one = make("kafka-python")
    one.feed(400)
    one.drain()
    told = command(*words(one, "export", "--out", str(file))).stdout
    assert told.startswith(f"{file}: 40 rows of 3 partitions of {one.changelog}, digest ")
    digest = told.split()[-1]

    # Under another id, on the same topic: offsets are what they are.
    other = one.but(name=f"{one.name}-b", client="confluent")
    dying = words(other, "import", str(file), "--model", str(one.model))
    assert command(*dying, STATECAST_FAILPOINT="imported").returncode == -signal.SIGKILL
    assert other.committed() == {}  # and no row is in the way of the next import
    told = done(other, "import", str(file), "--model", str(one.model))
    assert f"{other.changelog}: 40 rows of 3 partitions, read back with the digest of the file, {digest}" in told
    assert other.committed() == one.committed()
    rows = streams(one)
    assert [row | {"position": 0} for row in streams(other)] == [row | {"position": 0} for row in rows]
    assert {row["key"]: row["step"] for row in rows} == {f"stream-{i}": 10 for i in range(40)}

    # Elsewhere: one partition is empty there, another has events of its own, which nobody is to predict any more.
    elsewhere = one.but(name=f"{one.name}-c", input=make_topic(partitions=3))
    produce_at(elsewhere, 1, [b"stranger"] * 7)
    positions = {0: 0, 1: 7, 2: 0}
    told = done(
        elsewhere, "import", str(file), "--model", str(one.model), "--input-topic", elsewhere.input,
        *(f"--position={p}={at}" for p, at in positions.items()),
    )  # fmt: skip
    assert digest in told
    assert elsewhere.committed() == positions
    assert all(row["offset"] < positions[row["partition"]] == row["complete_below"] for row in streams(elsewhere))

    other.feed(400, first=400)
    produce(elsewhere.servers, elsewhere.input, readings(400, streams=40, first=400))
    other.drain()
    elsewhere.drain()
    whole = reference(one, 800)
    assert predictions(one, other) == whole
    assert predictions(one, elsewhere) == whole


def test_what_a_crash_left_unwritten_is_stepped_again_where_the_offsets_are_the_same(
    make: MakeApplication, make_topic: Callable[..., str], file: Path
) -> None:
    one = make()
    one.feed(400)
    one.crashed()  # no row is in the changelog
    exported = eventually("the group is empty", lambda: _exported(one, file), 90, pause=0.5)
    assert "the stop was not clean. Whoever imports this steps the input again from offset 0 to" in exported

    moved = one.but(name=f"{one.name}-b", input=make_topic(partitions=3))
    places = [f"--position={p}=0" for p in range(3)]
    arguments = [str(file), "--model", str(one.model), "--input-topic", moved.input, *places]
    assert "start the service there, stop it cleanly, and export again" in refusal(moved, "import", *arguments)

    other = one.but(name=moved.name, client="kafka-python")
    done(other, "import", str(file), "--model", str(one.model))
    other.feed(200, first=400)
    other.drain()
    assert predictions(one, other) == reference(one, 600)


def _exported(application: Application, file: Path) -> str:
    """What an export says; nothing while a dead member's session lasts."""
    try:
        return done(application, "export", "--out", str(file))
    except StatecastError as refused:
        if "members; stop the service, and export when they are gone" not in str(refused):
            raise
        return ""


def test_what_is_not_to_be_imported_is_refused_and_nothing_is_written(
    application: Application, make_topic: Callable[..., str], file: Path
) -> None:
    one = application
    assert "--out" in refusal(one, "export", "--out", str(file.parent / "none" / "x"))
    done(one, "export", "--out", str(file))
    assert "is there already" in refusal(one, "export", "--out", str(file))
    assert "its group is at work on" in refusal(one, "export", "--out", f"{file}2", "--input-topic", "other", code=1)
    assert sorted(path.name for path in file.parent.glob("*state*")) == [file.name]

    other = one.but(name=f"{one.name}-b")
    whole = file.read_bytes()
    at = whole.index(b"stream-")
    spoiled = {
        "cut short": (whole[:-100], "was cut short"),
        "empty": (b"", "is no file of"),
        "nonsense": (b"garbage" * 1000, "is no file of"),
        "another byte": (whole[:at] + b"S" + whole[at + 1 :], "is damaged"),
        "a zip of somebody's": (archive({"a": b"b"}), "is no file of"),
        "another format": (archive({"state.json": b'{"kind": "statecast state", "format": 2}'}), "is of format 2"),
        "half a header": (archive({"state.json": b'{"kind": "statecast state", "format": 1}'}), "header that cannot"),
    }
    before = other.standing()
    for name, (content, told) in spoiled.items():
        (file.parent / "spoiled").write_bytes(content)
        line = refusal(other, "import", str(file.parent / "spoiled"), "--model", str(one.model))
        assert told in line, name
        assert "nothing was written" in line, name

    model = ["--model", str(one.model)]
    assert "cannot be read" in refusal(other, "import", f"{file}2", *model)
    stranger = one.but(seed=1).model
    line = refusal(other, "import", str(file), "--model", str(stranger))
    assert f"--model {stranger}: is " in line
    assert "give the model that wrote them" in line
    assert "does not exist" in refusal(other, "import", str(file), *model, "--input-topic", "nowhere", code=1)
    two = ["--input-topic", make_topic(partitions=2)]
    assert "has 2 partitions, the state 3" in refusal(other, "import", str(file), *model, *two, code=1)
    three = ["--input-topic", make_topic(partitions=3)]
    assert "--position 0=OFFSET" in refusal(other, "import", str(file), *model, *three)
    places = [f"--position={p}=5" for p in range(3)]
    assert "has offsets from 0 to 0, and the state is to go on at 5" in refusal(
        other, "import", str(file), *model, *three, *places
    )
    assert "has offsets from 0 to 0" in refusal(other, "import", str(file), *model, *three, "--same-offsets")
    assert "leave it out" in refusal(other, "import", str(file), *model, "--position=3=0")
    assert "must be PARTITION=OFFSET" in refusal(other, "import", str(file), *model, "--position", "1:2")
    assert other.standing() == before

    one.feed(100, first=400)
    one.drain()
    before = one.standing()
    code, told = (result := command(*words(one, "import", str(file), *model))).returncode, result.stderr
    assert "has a state already" in one_line(code, told)
    assert one.standing() == before
    done(one, "import", str(file), *model, "--replace")
    assert {row["step"] for row in streams(one)} == {10}
    one.make(changelog_name(one.name, "0123456789ab"), 3, cleanup_policy="compact")
    assert "has 2 changelogs" in refusal(one, "list")
    assert len(streams(one, *model)) == 40
    assert "has no changelog" in refusal(one, "list", "--model", str(stranger), code=1)
    again = file.parent / "again"
    assert done(one, "export", "--out", str(again), *model).splitlines()[0].split()[-1] == digest_of(file)


def digest_of(file: Path) -> str:
    with zipfile.ZipFile(file) as content:
        return str(json.loads(content.read("state.json"))["digest"])


def archive(members: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as content:
        for name, text in members.items():
            content.writestr(name, text)
    return made.getvalue()
