"""`statecast doctor`: everything that `serve` stands on, looked at before it starts, each with what to do."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.model import Network
from stream import fields, provider
from stream.broker.rights import Rights
from stream.configuration import load
from stream.ops import checkup_kafka as kafka
from stream.ops import checkup_local as local
from stream.ops.access import identity_of
from stream.ops.findings import Finding, looked
from stream.settings import Settings
from stream.topics import changelog_name

MARK = {"ok": "ok     ", "note": "note   ", "warning": "warning", "fault": "FAULT  "}


def doctor(
    flags: Mapping[tuple[str, str], Any], config: Path | None, say: Callable[[str], None], *, as_json: bool
) -> bool:
    """Look at all of it, with the options of `serve`, and tell what was found. Whether `serve` would work.

    Raises UsageError where the settings themselves are wrong.
    """
    settings = load(flags, config)
    found = []
    for finding in _examine(settings):
        found.append(finding)
        if not as_json:
            say(f"{MARK[finding.level]} {finding.what + ':':<18} {finding.seen}")
            if finding.mend:
                say(f"{'':<27}-> {finding.mend}")
    if as_json:
        say(json.dumps([asdict(finding) for finding in found]))
    return not any(finding.level == "fault" for finding in found)


def _examine(settings: Settings) -> Iterator[Finding]:
    yield Finding("settings", "ok", f"application {settings.application_id}, slot {settings.slot}")
    networks: list[Network] = []

    def of_model() -> Iterator[Finding]:
        networks.append(provider.load(settings.model.path, settings.model.provider))
        fields.check(settings.kafka.field, networks[0].signature.features)
        yield from local.of_model(networks[0])
        yield from local.of_memory(settings, networks[0])

    yield from looked("model", of_model)
    yield from looked("client", lambda: local.of_client(settings))
    yield from looked("processors", lambda: local.of_processors(settings))
    yield from looked("disk", lambda: local.of_disk(settings))
    yield from looked("clock", local.of_clock)
    yield from looked("http", lambda: local.of_address(settings))
    yield from looked("broker", lambda: _of_kafka(settings, networks[0] if networks else None))


def _of_kafka(settings: Settings, model: Network | None) -> Iterator[Finding]:
    identity = identity_of(settings, "doctor")
    changelog = None if model is None else changelog_name(settings.application_id, model.fingerprint)
    with closing(Rights(identity)) as rights:
        place = kafka.Place(settings, identity, rights, changelog)
        yield from kafka.of_cluster(place)
        yield from looked("topics", lambda: kafka.of_topics(place))
        yield from looked("rights", lambda: kafka.of_rights(place))
        yield from looked("group", lambda: kafka.of_group(place))
        if model is not None:
            yield from looked("events", lambda: kafka.of_events(place, model))
