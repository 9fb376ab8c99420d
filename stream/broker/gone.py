"""What is said where a partition's next offset is not among those that it holds. No client may jump over that."""

from stream.errors import Refused


def gone(topic: str, partition: int, offset: int) -> Refused:
    """For a position that retention has overtaken, or that a topic made anew never had."""
    return Refused(
        f"topic {topic} [{partition}]: offset {offset} is no longer there; retention deleted events that were not "
        "processed, or the topic was made anew; lengthen its retention.ms, and start anew under another application id"
    )
