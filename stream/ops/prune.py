"""The changelogs that an application no longer needs: each new model leaves its predecessor's behind.

Kafka cannot tell whose model a changelog belongs to, nor which one a member writes: who asks names the models to keep.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from export.signature import fingerprint, load
from stream.broker.admin import Admin, TopicInfo
from stream.broker.port import Identity
from stream.errors import Refused, UsageError
from stream.topics import changelog_name, changelogs_of

RECENT = 600.0  # seconds; a changelog that was written since then may be a running member's
AGES = {RECENT: "10 minutes", 3600.0: "hour", 86400.0: "day", 604800.0: "week"}


class Brokers(Protocol):
    """What has to be asked, and done. As of `Admin`."""

    def topics(self) -> list[str]: ...

    def describe(self, topic: str) -> TopicInfo | None: ...

    def watermarks(self, topic: str, partitions: Sequence[int], timeout: float) -> dict[int, tuple[int, int]]: ...

    def at_time(self, topic: str, partition: int, at: int, timeout: float) -> int | None: ...

    def group_members(self, group: str) -> int: ...

    def delete(self, topic: str) -> None: ...


@dataclass(frozen=True)
class Changelog:
    """One changelog of the application."""

    topic: str
    records: int  # at most; compaction takes some
    written: float | None  # seconds, an entry of AGES, within which it was last written; None: longer ago
    kept: str = ""  # why it stays
    busy: str = ""  # why it may be in use

    @property
    def fingerprint(self) -> str:
        return self.topic.split(".")[-2]

    @property
    def verdict(self) -> str:
        return self.kept or self.busy or "unused"


def prune(
    identity: Identity, keep: Sequence[Path], *, yes: bool, all: bool, say: Callable[[str], None], timeout: float = 10.0
) -> None:
    """List the changelogs of the application identity.group, and delete those that nobody uses where `yes` says so.

    keep: models whose changelogs stay; all: every one may be deleted. Raises UsageError, Refused, Unavailable, and the
    ModelFileError of a file that is no model; nothing is deleted then, but for Unavailable between two deletions.
    """
    names = {changelog_name(identity.group, fingerprint(load(path)[0])): path for path in keep}
    with closing(Admin(identity, timeout=timeout)) as admin:
        found = survey(admin, identity, names, time.time())
        for line in table(found):
            say(line)
        doomed = [changelog for changelog in found if not changelog.kept]
        if not yes:
            if doomed:
                say(f"--yes deletes {len(doomed)} of {len(found)}; --keep MODEL names those that stay")
            return
        check(found, names, all=all)
        for changelog in doomed:
            admin.delete(changelog.topic)
            say(f"deleted {changelog.topic}")


def survey(brokers: Brokers, identity: Identity, names: Mapping[str, Path], now: float) -> list[Changelog]:
    """Every changelog of the application. names: those to keep, by topic; now: seconds since the epoch.

    Raises Refused where there is none.
    """
    topics = changelogs_of(identity.group, brokers.topics())
    if not topics:
        raise Refused(
            f"--application-id {identity.group}: has no changelog at {identity.bootstrap_servers}; check the id"
        )
    members = brokers.group_members(identity.group)
    return [
        _look(brokers, info, members, names, now) for topic in topics if (info := brokers.describe(topic)) is not None
    ]


def _look(brokers: Brokers, info: TopicInfo, members: int, names: Mapping[str, Path], now: float) -> Changelog:
    partitions = range(info.partitions)
    records = sum(end - begin for begin, end in brokers.watermarks(info.name, partitions, 10.0).values())
    written = next((age for age in AGES if _written_since(brokers, info, now - age)), None)
    kept = busy = ""
    policy = info.config.get("cleanup.policy", "")
    if info.name in names:
        kept = f"kept: --keep {names[info.name]}"
    elif policy != "compact":
        kept = f"left alone: cleanup.policy={policy}, so it is no changelog of statecast's"
    elif members and written == RECENT:
        busy = f"perhaps in use: written in the last {AGES[RECENT]}, and the group has {members} members"
    return Changelog(info.name, records, written, kept, busy)


def _written_since(brokers: Brokers, info: TopicInfo, at: float) -> bool:
    return any(brokers.at_time(info.name, p, round(at * 1000), 10.0) is not None for p in range(info.partitions))


def check(found: Sequence[Changelog], names: Mapping[str, Path], *, all: bool) -> None:
    """Raise UsageError or Refused where what is not kept must not be deleted."""
    for topic, path in names.items():
        if topic not in {changelog.topic for changelog in found}:
            raise UsageError(f"--keep {path}: there is no changelog {topic}, so it may be the wrong file; leave it out")
    for changelog in found:
        if changelog.busy:
            raise Refused(
                f"{changelog.topic}: {changelog.busy}; stop them and wait {RECENT / 60:g} minutes, or --keep its model"
            )
    if not any(changelog.kept for changelog in found) and not all:
        raise UsageError(
            f"--yes: would delete all {len(found)} changelogs, and with them the state of every stream; name the "
            "models to keep with --keep MODEL, or say --all"
        )


def table(found: Sequence[Changelog]) -> list[str]:
    """Lines for people."""
    rows = [("topic", "fingerprint", "records", "last write", "verdict")]
    for c in found:
        last = "never" if not c.records else f"within the {AGES[c.written]}" if c.written else "over a week ago"
        rows.append((c.topic, c.fingerprint, f"{c.records:,}", last.replace("the 10", "10"), c.verdict))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    return ["  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[4]]) for row in rows]
