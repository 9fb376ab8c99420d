"""What one writes without statecast: a bare consumer loop on kafka-python, in one file.

One session.run per event, a dict of states, at least once: outputs are flushed, then offsets committed, once a second.
State lives in memory only: a restart loses it. Prints {"events", "seconds", "events_per_second", "cpu_us_per_event"} as
one line of JSON; the first event's arrival is where both clocks start.
"""

import argparse
import json
import time

import numpy as np
import onnxruntime
from kafka import KafkaConsumer, KafkaProducer

from export.signature import load

COMMIT_EVERY = 1.0  # seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--bootstrap-servers", required=True)
    parser.add_argument("--input-topic", required=True)
    parser.add_argument("--output-topic", required=True)
    parser.add_argument("--group", required=True)
    parser.add_argument("--events", type=int, required=True, help="end after so many")
    options = parser.parse_args()

    _, signature = load(options.model)
    threads = onnxruntime.SessionOptions()
    threads.intra_op_num_threads = threads.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(options.model, threads, ["CPUExecutionProvider"])
    feature, middle = signature.features[0], signature.levels.index(0.5)
    results = ["quantiles", "surprise", *(state.output for state in signature.state)]
    cold = {state.input: np.zeros((1, *state.shape), np.float32) for state in signature.state}
    states: dict[bytes, dict[str, np.ndarray]] = {}

    consumer = KafkaConsumer(
        options.input_topic, bootstrap_servers=options.bootstrap_servers, group_id=options.group,
        auto_offset_reset="earliest", enable_auto_commit=False,
    )  # fmt: skip
    producer = KafkaProducer(bootstrap_servers=options.bootstrap_servers, acks="all", linger_ms=5)
    events, began, cpu = 0, 0.0, 0.0
    committed = time.monotonic()
    while events < options.events:
        for records in consumer.poll(timeout_ms=100, max_records=500).values():
            if not events:
                began, cpu = time.monotonic(), time.process_time()
            for record in records:
                value = json.loads(record.value)[feature]
                x = np.array([[[0.0 if value is None else value]]], np.float32)
                mask = np.array([[[0.0 if value is None else 1.0]]], np.float32)
                found = session.run(results, {"x": x, "mask": mask, **states.get(record.key, cold)})
                states[record.key] = dict(zip(cold, found[2:], strict=True))
                quantiles = found[0][0, 0, 0]
                output = {
                    "offset": record.offset, "ts": record.timestamp, "prediction": float(quantiles[middle]),
                    "lower": float(quantiles[0]), "upper": float(quantiles[-1]), "surprise": float(found[1][0, 0, 0]),
                }  # fmt: skip
                producer.send(
                    options.output_topic, json.dumps(output).encode(), record.key,
                    partition=record.partition, timestamp_ms=record.timestamp,
                )  # fmt: skip
            events += len(records)
        if time.monotonic() > committed + COMMIT_EVERY:
            producer.flush()
            consumer.commit()
            committed = time.monotonic()
    producer.flush()
    consumer.commit()
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    figures = {
        "events": events, "seconds": round(seconds, 3), "events_per_second": round(events / seconds),
        "cpu_us_per_event": round(cpu / events * 1e6, 2),
    }  # fmt: skip
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
