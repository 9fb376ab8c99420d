"""What is said where a partition's next offset is not among those that it holds. No client may jump over that."""

from stream.errors import Refused


class Gone(Refused):
    """The next offset is not there."""


def gone(topic: str, partition: int, offset: int) -> Gone:
    """For a position that retention has overtaken, or that a topic made anew never had."""
    return Gone(
        f"topic {topic} [{partition}]: offset {offset} is no longer there; retention deleted events that were not "
        "processed, or the topic was made anew; lengthen its retention.ms, and start anew under another application id"
    )
