"""`--field` with the real service: events are read where it says, and what cannot be is told before a topic is made."""

import json
from contextlib import closing

from tests.integration.application import MakeApplication, one_line
from tests.service import command, produce, read


def test_events_are_read_where_the_option_says_also_by_workers_and_after_a_restart(make: MakeApplication) -> None:
    application = make(partitions=1)
    paths = ("--field", "value=payload.temp", "--field", "ts=meta.at")
    value = b'{"payload": {"temp": %d}, "meta": {"at": %d}}'
    produce(application.servers, application.input, [(b"a", value % (i, 1000 * i)) for i in range(1, 4)])
    application.drain(*paths)
    produce(application.servers, application.input, [(b"a", b'{"value": 4}'), (b"a", value % (5, 5000))])
    application.drain(*paths, "--workers", "1")

    told = [json.loads(r.value) for r in read(application.servers, application.output)]
    assert [(one["offset"], one["step"], one["ts"]) for one in told] == [
        (0, 1, 1000), (1, 2, 2000), (2, 3, 3000), (4, 4, 5000),
    ]  # fmt: skip
    (letter,) = read(application.servers, f"{application.output}.dead-letters")
    headers = dict(letter.headers)
    assert headers["__statecast.errors.code"] == b"wrong_field"
    assert b"`payload`" in headers["__statecast.errors.message"]


def test_a_path_for_no_feature_is_refused_before_a_topic_is_made(make: MakeApplication) -> None:
    application = make()
    for told, line in (
        ("heat=a.b", "the model has no such feature; an event has value and ts"),
        ("value", "NAME=PATH"),
    ):
        result = command("serve", *application.arguments("--field", told))
        assert line in one_line(result.returncode, result.stderr, 2)
    with closing(application.asking()) as admin:
        assert admin.describe(application.output) is None
