"""A poison policy with the real service: the verifier, which reads the input by itself, comes to the same."""

import json

import pytest

from engine.rows import Policy
from loadtest.verify import verify
from tests.integration.application import MakeApplication, one_line
from tests.service import Event, command, produce, read

BAD = [b"{", b'{"value": "warm"}', b'{"value": 1e39}', b'{"value": 1, "ts": -1}']


def events(first: int) -> list[Event]:
    """Eight streams; some meet bad input, some of these are reset later, and some records belong to no stream."""
    found: list[Event] = []
    for i in range(first, first + 300):
        value: bytes | None = b'{"value": %d}' % (i * 37 % 101)
        if i % 43 == 42:
            value = BAD[i % len(BAD)]
        if i % 61 == 60:
            value = None
        found.append((None if i % 97 == 96 else b"stream-%d" % (i % 8), value))
    return found


@pytest.mark.parametrize("policy", ["freeze", "reset"])
def test_what_is_served_is_what_the_verifier_expects_of_that_policy_also_after_restarts(
    make: MakeApplication, policy: Policy
) -> None:
    application = make(partitions=2)
    for first in (0, 300, 600):
        produce(application.servers, application.input, events(first))
        application.drain("--poison-policy", policy)

    letters = f"{application.output}.dead-letters"
    codes = [dict(r.headers)["__statecast.errors.code"] for r in read(application.servers, letters)]
    assert (b"stream_frozen" in codes) == (policy == "freeze")
    assert {b"not_json", b"wrong_field", b"not_finite", b"bad_time"} <= set(codes)

    def verified(by: Policy, batch: int = 20_000, step_batch: int | None = None) -> bool:
        return verify(
            application.servers, application.model, application.input, application.output, dead_letter_topic=letters,
            poison_policy=by, batch=batch, step_batch=step_batch,
        ).passed  # fmt: skip

    assert verified(policy)
    assert verified(policy, batch=7, step_batch=1)
    assert not verified("skip")


def test_a_policy_that_is_none_is_told(make: MakeApplication) -> None:
    application = make()
    line = one_line(*_told("serve", *application.arguments("--poison-policy", "stop")), 2)
    assert "--poison-policy (or [state] poison_policy)" in line
    assert "'stop'" in line
    line = one_line(*_told("loadtest", "--input-topic", "a", "--output-topic", "b", "--poison-policy", "stop"), 2)
    assert "--poison-policy stop" in line


def _told(*arguments: str) -> tuple[int, str]:
    result = command(*arguments)
    return result.returncode, result.stderr


def test_steps_begin_anew_after_bad_input_with_reset(make: MakeApplication) -> None:
    application = make(partitions=1)
    good = b'{"value": 1}'
    produce(
        application.servers, application.input, [(b"a", good), (b"b", good), (b"a", b"{"), (b"a", good), (b"b", good)]
    )
    application.drain("--poison-policy", "reset")
    told = [json.loads(r.value) for r in read(application.servers, application.output)]
    assert [(one["offset"], one["step"]) for one in told] == [(0, 1), (1, 1), (3, 1), (4, 2)]
