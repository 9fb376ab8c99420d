"""A consumer that computes nothing: it copies events to the output topic. What it takes is what brokers and load test
take. At least once, confluent-kafka, one loop, values as long as a prediction. Ends with SIGTERM.
"""

import argparse
import signal

from confluent_kafka import Consumer, Producer

PADDING = "x" * 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bootstrap-servers", required=True)
    parser.add_argument("--input-topic", required=True)
    parser.add_argument("--output-topic", required=True)
    options = parser.parse_args()
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    consumer = Consumer({
        "bootstrap.servers": options.bootstrap_servers, "group.id": options.output_topic,
        "auto.offset.reset": "earliest", "isolation.level": "read_committed",
        "enable.auto.commit": False, "fetch.wait.max.ms": 100,
    })  # fmt: skip
    producer = Producer({
        "bootstrap.servers": options.bootstrap_servers, "linger.ms": 1, "enable.idempotence": True,
        "delivery.report.only.error": True,
    })  # fmt: skip
    consumer.subscribe([options.input_topic], on_assign=lambda *_: print("assigned", flush=True))
    while not stopping:
        for message in consumer.consume(10_000, 0) or consumer.consume(1, 0.1):
            if message.error() is None:
                value = f'{{"offset": {message.offset()}, "padding": "{PADDING}"}}'
                _, time = message.timestamp()
                producer.produce(options.output_topic, value, message.key(), message.partition() or 0, timestamp=time)
        producer.poll(0)
    producer.flush(10)
    consumer.close()


if __name__ == "__main__":
    main()
