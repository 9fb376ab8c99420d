"""The embedded Kafka: messages go through, data outlive a restart, and the JVM never outlives its owner."""

import time

from kafka import KafkaConsumer, KafkaProducer, TopicPartition


def send(bootstrap_servers: str, topic: str, *values: bytes) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap_servers, max_request_size=2**23)
    for sent in [producer.send(topic, value, partition=0) for value in values]:
        sent.get(30)
    producer.close()


def read(bootstrap_servers: str, topic: str, count: int) -> list[bytes]:
    consumer = KafkaConsumer(bootstrap_servers=bootstrap_servers, group_id=None)
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    values: list[bytes] = []
    deadline = time.monotonic() + 30
    while len(values) < count and time.monotonic() < deadline:
        values += [record.value for records in consumer.poll(500).values() for record in records]
    consumer.close()
    return values


def test_a_message_goes_through(kafka, make_topic) -> None:
    topic = make_topic()

    send(kafka.bootstrap_servers, topic, b"one", b"two")

    assert read(kafka.bootstrap_servers, topic, 2) == [b"one", b"two"]


def test_a_topic_may_allow_records_of_5_megabytes(kafka, make_topic) -> None:
    topic = make_topic(config={"max.message.bytes": str(2**23)})
    value = b"x" * 5_000_000

    send(kafka.bootstrap_servers, topic, value)

    assert read(kafka.bootstrap_servers, topic, 1) == [value]
