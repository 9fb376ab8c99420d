"""`statecast deadletter` against a real broker: what lies there is told, and what is put back is put back once."""

import json
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stream.broker.clients import choose
from stream.broker.port import Identity
from stream.errors import EnvironmentFault
from stream.ops import retry as retrying
from stream.ops.letters import Selection, moment
from tests.integration.application import Application, MakeApplication, one_line
from tests.service import command, produce, read

GOOD = b'{"value": 1.5}'
LONG = b'{"value": 2.5, "note": "too long for now"}'
EVENTS = [(b"pump", GOOD), (b"pump", LONG), (None, GOOD), (b"valve", b"{not json"), (b"pump", GOOD), (b"valve", LONG)]
AT = int(time.time()) * 1000 - 3_600_000  # retention takes older records at any time


@pytest.fixture
def application(make: MakeApplication, request: pytest.FixtureRequest) -> Application:
    """It met two events that were too long for it, one that is no JSON, and one without a key."""
    application = make(client=getattr(request, "param", "confluent"), partitions=1)
    produce(application.servers, application.input, EVENTS, at=AT)
    application.drain("--max-value-bytes", "20")
    return application


def letters_of(application: Application) -> str:
    return f"{application.output}.dead-letters"


def deadletter(application: Application, name: str, *arguments: str) -> Any:
    return command(
        "deadletter", name, "--bootstrap-servers", application.servers, "--output-topic", application.output, *arguments
    )


def listed(application: Application, *arguments: str) -> list[dict[str, Any]]:
    result = deadletter(application, "list", "--json", *arguments)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_it_tells_what_lies_there_and_why(application: Application, tmp_path: Path) -> None:
    told = listed(application)
    assert [(one["code"], one["key"], one["offset"], one["retried"]) for one in told] == [
        ("value_too_long", "pump", 1, False), ("no_key", None, 2, False), ("not_json", "valve", 3, False),
        ("value_too_long", "valve", 5, False),
    ]  # fmt: skip
    assert {one["time"] for one in told} == {moment(AT)}
    assert [one["offset"] for one in listed(application, "--code", "value_too_long", "--key-prefix", "va")] == [5]
    assert listed(application, "--since", "1800") == []

    lines = deadletter(application, "list").stdout.splitlines()
    assert len(lines) == 5
    assert "max_value_bytes = 20" in lines[1]
    counts = json.loads(deadletter(application, "list", "--summary", "--json").stdout)
    assert counts["value_too_long"] == {"waiting": 2, "retried": 0}

    file = tmp_path / "value"
    shown = deadletter(application, "show", told[2]["letter"], "--out", str(file))
    assert "{not json" in shown.stdout
    assert f"header       __statecast.errors.topic: {application.input}" in shown.stdout
    assert file.read_bytes() == b"{not json"


def test_what_cannot_be_done_is_told_in_one_line(application: Application) -> None:
    for arguments, code, line in (
        (("retry",), 2, "say which letters"),
        (("retry", "--all", "--code", "no_key"), 2, "--all: goes with no choice"),
        (("show", "0:99"), 1, "there is no dead letter"),
        (("show", "99:0"), 1, "there is no dead letter"),
        (("retry", "0:99", "--yes"), 1, "0:99: there is no dead letter"),
        (("list", "--partition", "99"), 2, "--partition 99: "),
        (("list", "--since", "soon"), 2, "--since soon"),
        (("list", "--dead-letter-topic", "nowhere"), 1, "--dead-letter-topic nowhere: does not exist"),
    ):
        result = deadletter(application, *arguments)
        assert line in one_line(result.returncode, result.stderr, code)


@pytest.mark.parametrize("application", ["confluent", "kafka-python"], indirect=True)
def test_after_a_mend_letters_are_put_back_once(application: Application, tmp_path: Path) -> None:
    config = tmp_path / "statecast.toml"
    config.write_text(f'[kafka]\noutput_topic = "{application.output}"\nclient = "{application.client}"\n')
    wanted = ("--config", str(config), "--code", "value_too_long")

    looked = deadletter(application, "retry", *wanted)
    assert "--yes puts 2 back" in looked.stdout
    assert len(read(application.servers, application.input)) == 6
    assert deadletter(application, "retry", *wanted, "--yes").stdout == "put back 2\n"
    again = deadletter(application, "retry", *wanted, "--yes")
    assert again.stdout == "left alone: 2 put back before\nput back 0\n"

    back = read(application.servers, application.input)[6:]
    assert [(r.key, r.value, r.timestamp) for r in back] == [(b"pump", LONG, AT), (b"valve", LONG, AT)]
    assert [one["retried"] for one in listed(application)] == [True, False, False, True]
    place = listed(application)[0]["letter"]
    assert dict(back[0].headers)["__statecast.retry.of"] == f"{letters_of(application)}:{place}".encode()

    application.drain()
    steps = [(key, step) for key, _, step in application.outputs()]
    assert steps == [(b"pump", 1), (b"pump", 2), (b"pump", 3), (b"valve", 1)]

    rest = deadletter(application, "retry", "--all", "--yes")
    assert rest.stdout.splitlines()[:2] == [
        "left alone: 2 put back before",
        "left alone: 1 without a key: they belong to no stream, and would be dead letters again",
    ]
    assert rest.stdout.endswith("put back 1\n")
    application.drain()
    assert [(one["code"], one["retried"]) for one in listed(application, "--code", "not_json")] == [
        ("not_json", True), ("not_json", False),
    ]  # fmt: skip


def test_a_value_that_was_left_out_comes_from_the_input_while_that_has_it(make: MakeApplication) -> None:
    application = make(partitions=1)
    long = b'{"value": 2.5, "note": "' + b"x" * 70_000 + b'"}'
    application.make(letters_of(application), 1, max_message_bytes="60000")
    produce(application.servers, application.input, [(b"a", long), (b"b", long), (b"c", GOOD)])
    application.drain("--max-value-bytes", "50000")
    first, second = listed(application)
    assert (first["value_bytes"], second["value_bytes"]) == (None, None)
    assert "read from the input" in deadletter(application, "show", first["letter"]).stdout

    application.truncate(application.input, {0: 1})
    result = deadletter(application, "retry", "--all", "--yes")
    assert result.stdout.splitlines() == [
        f"left alone: {first['letter']}: its value was left out, and the input no longer has {application.input}:0:0",
        "put back 1",
    ]
    assert read(application.servers, application.input)[-1].value == long
    assert "the input no longer has it" in deadletter(application, "show", first["letter"]).stdout


def test_of_two_that_retry_at_the_same_time_one_does(application: Application) -> None:
    topic = letters_of(application)
    identity = Identity(application.servers, application.name, f"{application.name}-test")
    client, told = choose("confluent"), list[str]()

    def meanwhile(line: str) -> None:
        """Somebody else retries all while this one looks at what there is."""
        told.append(line)
        if len(told) == 1:
            assert retrying.retry(client, identity, topic, Selection(), lambda _: None, yes=True) == 3

    with pytest.raises(EnvironmentFault, match="somebody else began to retry letters of it meanwhile; 0 were put back"):
        retrying.retry(client, identity, topic, Selection(), meanwhile, yes=True)
    with closing(application.asking()) as admin:
        assert admin.ends(application.input, [0], 10)[0] >= 9
    assert len(read(application.servers, application.input)) == 9
