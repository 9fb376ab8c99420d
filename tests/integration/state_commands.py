"""How the tests of `statecast state` give its commands."""

import contextlib
import io
import json
import os
from typing import Any
from unittest import mock

import pytest
from kafka import KafkaProducer

from export.signature import ModelFileError
from stream.errors import StatecastError
from stream.ops import state_commands
from tests.integration.application import Application


def words(application: Application, what: str, *arguments: str) -> list[str]:
    whose = ["--bootstrap-servers", application.servers, "--application-id", application.name]
    return ["state", what, *arguments, *whose]


def done(application: Application, what: str, *arguments: str) -> str:
    """What the command says. It runs in this process, which is a second cheaper."""
    told = io.StringIO()
    with (
        mock.patch.dict(os.environ, STATECAST_KAFKA__CLIENT=application.client),
        contextlib.redirect_stdout(told),
    ):
        state_commands.app(words(application, what, *arguments)[1:], standalone_mode=False)
    return told.getvalue()


def refusal(application: Application, what: str, *arguments: str, code: int = 2) -> str:
    """The line with which the command ends."""
    with pytest.raises((StatecastError, ModelFileError)) as caught:
        done(application, what, *arguments)
    told = str(caught.value)
    assert "\n" not in told
    assert caught.value.exit_code == code, told  # type: ignore[attr-defined]
    return told


def streams(application: Application, *arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done(application, "list", "--json", *arguments).splitlines()]


def produce_at(application: Application, partition: int, keys: list[bytes], value: bytes = b'{"value": 1.5}') -> None:
    producer = KafkaProducer(bootstrap_servers=application.servers)
    sent = [producer.send(application.input, key=key, value=value, partition=partition) for key in keys]
    producer.flush(30)
    assert all(one.succeeded() for one in sent)
    producer.close()
