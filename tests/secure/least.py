"""The least rights of each way of use, as docs/security.md lists them."""

from collections.abc import Iterable

from kafka.admin import ACLOperation as Op
from kafka.admin import ResourceType as Kind

from tests.secure.fortress import Right

Rights = list[Right]


def topic(name: str, *operations: Op) -> Rights:
    return [Right(Kind.TOPIC, name, operation) for operation in operations]


def serve(application: str, source: str, output: str, letters: str, changelog: str, *, creates: bool = True) -> Rights:
    """Of `serve`, whatever --delivery is. creates: it makes the topics itself."""
    return [
        *topic(source, Op.READ, Op.DESCRIBE_CONFIGS),
        *topic(output, Op.WRITE, Op.DESCRIBE_CONFIGS),
        *topic(letters, Op.WRITE, Op.DESCRIBE_CONFIGS),
        *topic(changelog, Op.READ, Op.WRITE, Op.DESCRIBE_CONFIGS),
        Right(Kind.GROUP, application, Op.READ),
        Right(Kind.TRANSACTIONAL_ID, application, Op.WRITE, prefixed=True),
        *(made for name in (output, letters, changelog) if creates for made in topic(name, Op.CREATE)),
    ]


def prune(application: str, changelog: str) -> Rights:
    """Of `state prune`. A changelog that may not be seen is not found."""
    seen = Right(Kind.GROUP, application, Op.DESCRIBE)
    return [seen, *topic(changelog, Op.DESCRIBE_CONFIGS, Op.DELETE)]


def without(rights: Iterable[Right], one: Right) -> Rights:
    return [right for right in rights if right != one]


def looking(application: str, changelog: str) -> Rights:
    """Of `state list`, `get` and `export`."""
    return [Right(Kind.GROUP, application, Op.DESCRIBE), *topic(changelog, Op.READ, Op.DESCRIBE_CONFIGS)]


def resetting(application: str, changelog: str, source: str) -> Rights:
    """Of `state reset`, which looks whether the application knows the stream."""
    return [*looking(application, changelog), *topic(source, Op.WRITE, Op.DESCRIBE_CONFIGS)]


def letters(name: str) -> Rights:
    """Of `deadletter list` and `show`."""
    return topic(name, Op.READ, Op.DESCRIBE_CONFIGS)


def retrying(name: str, source: str) -> Rights:
    """Of `deadletter retry`."""
    writer = Right(Kind.TRANSACTIONAL_ID, f"{name}-retry", Op.WRITE)
    return [*letters(name), *topic(name, Op.WRITE), *topic(source, Op.READ, Op.WRITE, Op.DESCRIBE_CONFIGS), writer]
