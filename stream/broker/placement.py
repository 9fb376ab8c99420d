"""Where producers put a key."""

from kafka.partitioner.default import murmur2


def home(key: bytes, partitions: int) -> int:
    """The partition of this key by Kafka's default partitioner, murmur2."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)
