"""Dead letters as an operator names them: which are meant, which were put back, how keys and times are written."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.broker.admin import TopicInfo
from stream.broker.browser import Browsed
from stream.broker.port import Headers, Identity
from stream.codec import Rejected
from stream.deadletters import ROOM, letter
from stream.errors import UsageError
from stream.ops.deadletters import original, table
from stream.ops.letters import Letter, Selection, collect, key_of, name_of, places, read, receipt, since

NOW = 1_800_000_000.0


def record(
    offset: int, *, code: str = "not_json", key: bytes | None = b"pump", at: int = 5, partition: int = 0
) -> Browsed:
    """A letter as the service writes it."""
    event = Rejected(partition, offset + 100, at, key, b"{", code, "it is no JSON")
    value, headers = letter(event, "readings", 1_000_000 + ROOM)
    return Browsed(partition, offset, at, key, value, headers)


def put_back(offset: int, of: Browsed) -> Browsed:
    """What a retry writes of a letter."""
    told = read(of)
    assert told is not None
    return Browsed(of.partition, offset, of.timestamp, of.key, None, receipt(told))


def found(records: list[Browsed], **wanted: object) -> list[str]:
    return [one.place for one in collect(records, Selection(**wanted))]  # type: ignore[arg-type]


def test_a_letter_says_what_its_headers_say() -> None:
    told = read(record(3, code="bad_time", key=b"p", at=7))
    assert told == Letter(0, 3, 7, b"p", 1, "bad_time", "it is no JSON", "readings", 0, 103)
    assert (told.place, told.source) == ("0:3", "readings:0:103")


def test_a_record_of_somebody_else_s_is_no_letter() -> None:
    strange: list[Headers] = [[("x", b"1")], [], [("__statecast.errors.code", b"c")]]
    endless = [(f"__statecast.errors.{name}", b"9" * 5000) for name in ("code", "partition", "offset")]
    strange += [endless, [*endless[:2], ("__statecast.errors.offset", b"1\n")]]
    assert [read(Browsed(0, 1, 1, b"k", b"v", headers)) for headers in strange] == [None] * 5
    assert found([Browsed(0, 1, 1, b"k", b"v", headers) for headers in strange]) == []


def test_letters_are_chosen_by_all_that_is_said_of_them() -> None:
    records = [
        record(0), record(1, code="bad_time"), record(2, key=b"pipe"), record(3, key=None), record(4, at=9),
        record(0, partition=1),
    ]  # fmt: skip
    assert found(records) == ["0:0", "0:1", "0:2", "0:3", "0:4", "1:0"]
    assert found(records, codes=frozenset({"bad_time"})) == ["0:1"]
    assert found(records, key=b"pump", partitions=frozenset({0})) == ["0:0", "0:1", "0:4"]
    assert found(records, prefix=b"pi") == ["0:2"]
    assert found(records, since=6) == ["0:4"]
    assert found(records, places=places(["1:0", "0:4", "7:7"])) == ["0:4", "1:0"]
    assert found(records, topic="elsewhere") == []


def test_what_a_stranger_wrote_does_not_reach_the_terminal() -> None:
    (one,) = collect([record(0, code="\x1b[2J", key=b"\x1b[31m")], Selection())
    one.topic = "\x1b]0;x\x07"
    assert all(line.isprintable() for line in table([one]))


def test_an_input_that_was_made_anew_with_fewer_partitions_no_longer_has_the_record(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Smaller:
        """Kafka, which gives no answer about a partition that is not there."""

        def __init__(self, *_: object, **__: object) -> None:
            pass

        def describe(self, name: str) -> TopicInfo:
            return TopicInfo(name, 2, 1, None, {})

        def close(self) -> None:
            pass

    monkeypatch.setattr("stream.ops.deadletters.Admin", Smaller)
    (one,) = collect([record(0, partition=2)], Selection())
    assert original(Identity("", "", ""), one) is None


def test_what_was_put_back_is_told_of_that_letter_alone() -> None:
    first, second, elsewhere = record(0), record(1), record(0, partition=1)
    letters = collect([first, elsewhere, second, put_back(2, first)], Selection())
    assert {one.place: one.retried for one in letters} == {"0:0": True, "0:1": False, "1:0": False}


def test_a_choice_that_leaves_a_letter_s_receipt_out_still_knows_of_it() -> None:
    first = record(0, code="bad_time", at=9)
    receipt_of = put_back(5, first)
    receipt_of.timestamp, receipt_of.key = 1, None
    (one,) = collect([first, receipt_of], Selection(since=8, prefix=b"pump", codes=frozenset({"bad_time"})))
    assert one.retried


@given(st.binary())
def test_a_key_that_was_told_can_be_given(key: bytes) -> None:
    told = name_of(key)
    assert told.isprintable()
    assert key_of(told) == key


def test_a_key_may_come_as_the_raw_bytes_that_a_shell_passes_on() -> None:
    assert key_of(os.fsdecode(b"\xff\xfe%41")) == b"\xff\xfeA"


def test_keys_of_people_are_told_as_they_write_them() -> None:
    assert name_of("Kessel 7/ä".encode()) == "Kessel 7/ä"
    assert (name_of(b"100%"), name_of(b"\xff\n")) == ("100%25", "%FF%0A")


def test_a_time_is_seconds_before_now_or_a_date() -> None:
    assert since(None, NOW) is None
    assert since("60", NOW) == round(NOW - 60) * 1000
    assert since("1970-01-01T00:00:01", NOW) == since("1970-01-01T01:00:01+01:00", NOW) == 1000
    for wrong in ("yesterday", "nan", "inf", ""):
        with pytest.raises(UsageError, match=r"--since .*: is neither"):
            since(wrong, NOW)


@pytest.mark.parametrize("wrong", ["0", "0:", "a:1", "0:-1", "0:1:2", ""])
def test_a_place_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(UsageError, match="give two numbers"):
        places([wrong])
