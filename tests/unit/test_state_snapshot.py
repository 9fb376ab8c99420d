"""A partition's local snapshot: the rows as they were, or a word that they are not; and who may use --state-dir."""

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.rows import Rows
from stream.errors import EnvironmentFault, UsageError
from stream.state import snapshot as module
from stream.state.files import StateDir, check_usable
from stream.state.snapshot import Head, Snapshot, SnapshotDamaged, SnapshotFailed, Writer

WIDTH = 5
HEAD = Head(WIDTH, "topic-id", 42, 1_700_000_000.5, b"\x00marker\xff")
ROOT = Path(__file__).parents[2]


def some_rows(keys: list[bytes], seed: int = 0, width: int = WIDTH) -> Rows:
    """Rows of any bits at all, NaN with payloads among them."""
    random = np.random.default_rng(seed)
    bits = random.integers(0, 1 << 32, (len(keys), width), np.uint32)
    bits[::3] |= 0x7F800001
    ints = random.integers(-(1 << 63), 1 << 63, (4, len(keys)), np.int64, endpoint=False)
    return Rows(keys, ints[0], ints[1], ints[2], ints[3], bits.view(np.float32))


def same(left: Rows, right: Rows) -> bool:
    columns = ("offset", "time", "clock", "step", "state")
    return left.keys == right.keys and all(
        getattr(left, column).tobytes() == getattr(right, column).tobytes() for column in columns
    )


def joined(parts: list[Rows]) -> Rows:
    columns = [
        np.concatenate([getattr(part, column) for part in parts])
        for column in ("offset", "time", "clock", "step", "state")
    ]
    return Rows([key for part in parts for key in part.keys], *columns)


def write(path: Path, *parts: Rows, head: Head = HEAD) -> None:
    writer = Writer(path, head)
    for part in parts:
        offer(writer, part)
    writer.finish()
    assert writer.done(wait=30)


def offer(writer: Writer, rows: Rows) -> None:
    deadline = time.monotonic() + 30
    while not writer.add(rows):
        assert time.monotonic() < deadline
        time.sleep(0.001)


def read(path: Path) -> tuple[Head, list[Rows]]:
    snapshot = Snapshot(path)
    try:
        return snapshot.head, list(snapshot.chunks())
    finally:
        snapshot.close()


def lies_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def keys(count: int) -> list[bytes]:
    return [b"key-%d" % number for number in range(count)]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.binary(max_size=50), max_size=20), max_size=5), st.integers(0, 3))
def test_rows_come_back_bit_by_bit(
    tmp_path_factory: pytest.TempPathFactory, names: list[list[bytes]], width: int
) -> None:
    path = tmp_path_factory.mktemp("state") / "partition-0.snapshot"
    parts = [some_rows(part, seed, width) for seed, part in enumerate(names)]
    head = Head(width, "t", 7, 0.1, b"")

    write(path, *parts, head=head)

    found, chunks = read(path)
    assert found == head
    assert same(joined([*chunks, some_rows([], 0, width)]), joined([*parts, some_rows([], 0, width)]))


def test_rows_are_read_in_chunks_of_a_bounded_size(tmp_path: Path) -> None:
    rows = some_rows(keys(20_000))

    write(tmp_path / "few", rows)
    write(tmp_path / "broad", some_rows(keys(100), 0, 100_000), head=Head(100_000, "t", 0, 0, b""))

    few, broad = read(tmp_path / "few")[1], read(tmp_path / "broad")[1]
    assert [len(chunk) for chunk in few] == [8192, 8192, 3616]
    assert same(joined(few), rows)
    assert max(chunk.state.nbytes for chunk in broad) <= module.CHUNK_BYTES
    assert all(chunk.state.flags.writeable and chunk.state.flags.aligned for chunk in few)


def test_the_number_of_rows_is_known_before_they_are_read(tmp_path: Path) -> None:
    write(tmp_path / "s", some_rows(keys(10)), some_rows(keys(3)))
    snapshot = Snapshot(tmp_path / "s")
    assert snapshot.rows == 13
    snapshot.close()


def test_there_may_be_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Snapshot(tmp_path / "s")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "s"
    write(path, some_rows(keys(30)), some_rows(keys(4), 1))
    return path.read_bytes()


def is_damaged(path: Path, content: bytes) -> bool:
    path.write_bytes(content)
    try:
        read(path)
    except SnapshotDamaged as error:
        said = str(error)
    else:
        return False
    assert "\n" not in said
    assert str(path) in said
    return True


def test_a_file_cut_short_anywhere_is_found(tmp_path: Path, whole: bytes) -> None:
    assert not is_damaged(tmp_path / "s", whole)
    for length in range(len(whole)):
        assert is_damaged(tmp_path / "s", whole[:length]), length


def test_a_bit_flipped_anywhere_is_found(tmp_path: Path, whole: bytes) -> None:
    for place in range(len(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        assert is_damaged(tmp_path / "s", bytes(flipped)), place


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_bytes_overwritten_inserted_or_appended_are_found(
    tmp_path_factory: pytest.TempPathFactory, whole: bytes, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(whole)))
    stop = data.draw(st.integers(start, min(len(whole), start + 60)))
    content = whole[:start] + data.draw(st.binary(max_size=60)) + whole[stop:]

    assert is_damaged(tmp_path_factory.getbasetemp() / "overwritten", content) == (content != whole)


def test_chunks_from_elsewhere_do_not_make_a_snapshot(tmp_path: Path, whole: bytes) -> None:
    first, second = whole.index(b"ROWS"), whole.rindex(b"ROWS")
    longest = whole[first:second]
    assert is_damaged(tmp_path / "s", whole[:first] + longest * 2 + whole[second:])


def test_another_format_is_refused_by_its_number(tmp_path: Path) -> None:
    write(tmp_path / "s", head=Head(WIDTH, "t", 0, 0, b"", format=2))
    with pytest.raises(SnapshotDamaged, match="its format is 2, not 1"):
        Snapshot(tmp_path / "s")


def test_a_snapshot_given_up_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "partition-0.snapshot"
    before = some_rows(keys(3))
    write(path, before)

    writer = Writer(path, HEAD)
    offer(writer, some_rows(keys(9)))
    writer.abandon()

    assert writer.done(wait=30)
    assert same(joined(read(path)[1]), before)
    assert lies_in(tmp_path) == [path.name]


def test_a_disk_that_is_behind_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, slow = os.pipe()  # nobody reads it yet: writing stops when it is full
    monkeypatch.setattr(module.tempfile, "mkstemp", lambda **_: (slow, str(tmp_path / "never")))
    writer = Writer(tmp_path / "s", HEAD)
    rows = some_rows(keys(8192))

    taken = 0
    start = time.monotonic()
    while writer.add(rows):
        taken += 1
    assert taken <= module.QUEUE + 1
    assert time.monotonic() - start < 10

    os.close(reader)  # and now the disk breaks: the one who hands over rows hears of it
    with pytest.raises(SnapshotFailed, match="Broken pipe"):
        writer.done(wait=30)
    with pytest.raises(SnapshotFailed, match="the one before stands"):
        writer.add(rows)


def test_a_full_disk_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "partition-0.snapshot"
    before = some_rows(keys(3))
    write(path, before)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        writer = Writer(path, HEAD)
        offer(writer, some_rows(keys(8192)))
        with pytest.raises(SnapshotFailed, match="File too large"):
            writer.done(wait=30)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)

    assert same(joined(read(path)[1]), before)
    assert lies_in(tmp_path) == [path.name]


CHILD = """
import sys, time
from pathlib import Path
from stream.state.files import StateDir
from stream.state.snapshot import Head, Writer
from tests.unit.test_state_snapshot import HEAD, keys, offer, some_rows
with StateDir(Path(sys.argv[1]), "app", "f" * 64, "app-host") as state:
    writer = Writer(state.snapshot_path(3), HEAD, state.scratch_path)
    while True:
        offer(writer, some_rows(keys(5000)))
        print("added", flush=True)
"""


def test_a_process_killed_amid_a_snapshot_leaves_the_one_before(tmp_path: Path) -> None:
    before = some_rows(keys(3))
    with StateDir(tmp_path, "app", "f" * 64, "app-host") as state:
        path, scratch = state.snapshot_path(3), state.scratch_path
        write(path, before)

    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for _ in range(5):
        assert child.stdout.readline() == "added\n"
    with pytest.raises(EnvironmentFault, match=rf"another process uses it for slot app-host \(process {child.pid}\)"):
        StateDir(tmp_path, "app", "f" * 64, "app-host").__enter__()
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()

    assert list(scratch.glob("*.new"))  # it was amid
    with StateDir(tmp_path, "app", "f" * 64, "app-host") as state:
        assert same(joined(read(path)[1]), before)
        assert lies_in(scratch) == ["lock", "spill"]


def test_slots_share_the_snapshots_and_nothing_else(tmp_path: Path) -> None:
    with StateDir(tmp_path, "app", "f" * 64, "a") as one, StateDir(tmp_path, "app", "f" * 64, "b") as other:
        assert one.snapshot_path(3) == other.snapshot_path(3) == tmp_path / "app.ffffffffffff" / "partition-3.snapshot"
        assert one.spill_path != other.spill_path
        assert one.spill_path.is_dir()


def test_the_lock_is_free_again_at_the_end(tmp_path: Path) -> None:
    for _ in range(2):
        with StateDir(tmp_path, "app", "f", "a"):
            pass


@pytest.mark.parametrize("name", ["../../up", "a/b", "..", "ü" * 200, "x\n\0"])
def test_no_name_leads_out_of_the_directory(tmp_path: Path, name: str) -> None:
    with StateDir(tmp_path / "d", name, "f" * 64, name) as state:
        assert state.snapshot_path(0).parent.resolve().parent == tmp_path / "d"
        assert state.spill_path.resolve().is_relative_to(tmp_path / "d")
    with StateDir(tmp_path / "d", name, "f" * 64, name + "2") as other:
        assert other.spill_path != state.spill_path


def test_a_file_is_no_state_dir(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    with pytest.raises(UsageError, match="it is a file; give a directory"):
        check_usable(tmp_path / "f")
    with pytest.raises(UsageError, match="give a writable directory"):
        check_usable(tmp_path / "f" / "below")


@pytest.mark.parametrize(
    ("number", "kind", "says"),
    [
        (errno.EACCES, UsageError, "Permission denied; give a writable directory"),
        (errno.EROFS, UsageError, "Read-only file system; give a writable directory"),
        (errno.ENOSPC, EnvironmentFault, "No space left on device; free some space or give another directory"),
        (errno.EIO, EnvironmentFault, "Input/output error; mend the disk or give another directory"),
    ],
)
def test_a_disk_that_takes_nothing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception], says: str
) -> None:
    def refuse(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(kind, match=f"^--state-dir {tmp_path}: cannot be written.*: {says}$"):
        check_usable(tmp_path)
    assert not lies_in(tmp_path)
