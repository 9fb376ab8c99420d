"""Where a partition's work begins, from what its changelog and its group say; and what must be refused. Pure."""

from dataclasses import dataclass

from stream.errors import EnvironmentFault
from stream.state.changelog import Marker


@dataclass(frozen=True, slots=True)
class Names:
    """What messages call things by."""

    application: str
    input_topic: str
    changelog: str


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of one partition before its work begins. Offsets are those of the input partition."""

    partition: int
    marker: Marker | None
    committed: int | None
    begin: int  # the first offset that is still there
    end: int  # the high watermark
    newest: int  # the largest offset of any row; -1: no row
    input_topic_id: str | None


@dataclass(frozen=True, slots=True)
class Fresh:
    """No state and no committed offset: a new application."""


@dataclass(frozen=True, slots=True)
class WarmUp:
    """Committed offsets, but no state: a new model."""

    until: int  # the committed offset


@dataclass(frozen=True, slots=True)
class Resume:
    """State and committed offset fit together: replay silently from that offset, then go on."""

    marker: Marker
    replay: int
    until: int  # the committed offset


def beginning(found: Found, names: Names, warmup: bool) -> Fresh | WarmUp | Resume:
    """warmup: whether a new model may build its state from a stretch of the input.

    Raises EnvironmentFault where going on would lose or double something, and nothing is to be overwritten.
    """
    place = f"{names.input_topic} [{found.partition}]"
    other = "use another --application-id to start anew"
    marker, committed = found.marker, found.committed
    before, now = marker.input_topic_id if marker else None, found.input_topic_id
    if before and now and before != now:
        raise EnvironmentFault(
            f"--application-id {names.application}: its state belongs to another input topic (id {before}), or "
            f"{names.input_topic} was deleted and made anew (id {now}); {other}"
        )
    if committed is not None and committed > found.end:
        raise EnvironmentFault(
            f"{place}: the committed offset {committed} lies beyond the topic's end {found.end}, so the topic was made "
            f"anew; {other}"
        )
    if committed is not None and committed < found.begin:
        raise EnvironmentFault(
            f"{place}: the group {names.application} is at offset {committed}, and retention has deleted the events "
            f"below {found.begin}, which were never predicted. To go on without them, set it to {found.begin} "
            f"(kafka-consumer-groups --reset-offsets --to-offset), or {other}; give the topic a longer retention.ms"
        )
    if marker is None:
        if found.newest >= 0:
            raise EnvironmentFault(
                f"{names.changelog} [{found.partition}]: has rows and no marker, so part of it was deleted; {other}"
            )
        if committed is None:
            return Fresh()
        if not warmup:
            raise EnvironmentFault(
                f"{names.changelog} [{found.partition}]: has no state, but the group {names.application} is at offset "
                f"{committed} of {place}. A new model needs --warmup SECONDS, the stretch of input to build its state "
                f"from; a changelog that was deleted cannot be had back: --warmup, too, or {other}"
            )
        return WarmUp(committed)
    if committed is None:
        raise EnvironmentFault(
            f"{place}: the group {names.application} has no committed offset, but the changelog says it was at "
            f"{marker.position}: it expired or was deleted. Set it back to {marker.position} (kafka-consumer-groups "
            f"--reset-offsets --to-offset), or {other}"
        )
    if committed < marker.position:
        raise EnvironmentFault(
            f"{place}: the group {names.application} is at offset {committed}, but the changelog was committed with "
            f"{marker.position}: the offset was moved back. Set it to {marker.position}, or {other}"
        )
    if found.newest >= committed:
        raise EnvironmentFault(
            f"{names.changelog} [{found.partition}]: holds a row of offset {found.newest}, but the group is at "
            f"{committed} only: the two do not belong together; {other}"
        )
    # Where the rows lack nothing, an offset that was moved forward says that what lies between is not missed.
    if marker.replay < min(found.begin, marker.position):
        raise EnvironmentFault(
            f"{place}: a restore needs the events from offset {marker.replay} on, and retention has deleted those "
            f"below {found.begin}; {other}, and give the topic a longer retention.ms"
        )
    return Resume(marker, max(marker.replay, found.begin), committed)
