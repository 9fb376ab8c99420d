"""The embedded Kafka: messages go through, data outlive a restart, and the JVM never outlives its owner."""

import contextlib
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition

from localbroker.broker import LocalBroker
from localbroker.errors import LocalBrokerError
from localbroker.ports import free_port
from tests.service import create_topic, eventually

OWNER = """
import sys, time
from localbroker.broker import LocalBroker
broker = LocalBroker()
broker.start()
print(broker.pid, broker.directory, flush=True)
time.sleep(600)
"""
COMMAND = """
import sys
from pathlib import Path
from localbroker.cli import run
directory, port = sys.argv[1:]
sys.exit(run(Path(directory) if directory else None, int(port)))
"""


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


@contextlib.contextmanager
def running(program: str, *arguments: str, stderr: int | None = None) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", program, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip()


def alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_a_message_goes_through(kafka, make_topic) -> None:
    topic = make_topic()

    send(kafka.bootstrap_servers, topic, b"one", b"two")

    assert read(kafka.bootstrap_servers, topic, 2) == [b"one", b"two"]


def test_a_topic_may_allow_records_of_5_megabytes(kafka, make_topic) -> None:
    topic = make_topic(config={"max.message.bytes": str(2**23)})
    value = b"x" * 5_000_000

    send(kafka.bootstrap_servers, topic, value)

    assert read(kafka.bootstrap_servers, topic, 1) == [value]


@pytest.mark.broker
def test_data_outlive_a_crash_a_stop_and_another_port(tmp_path: Path) -> None:
    broker = LocalBroker(tmp_path)
    broker.start()
    port = broker.port
    create_topic(broker.bootstrap_servers, "kept")
    send(broker.bootstrap_servers, "kept", b"one")

    broker.kill()
    assert not broker.running
    broker.restart()
    assert broker.port == port
    send(broker.bootstrap_servers, "kept", b"two")
    broker.stop()

    with LocalBroker(tmp_path) as another:
        assert another.port != port
        assert read(another.bootstrap_servers, "kept", 2) == [b"one", b"two"]


@pytest.mark.broker
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child to its parent")
def test_kill_9_of_the_owner_takes_the_jvm_along() -> None:
    with running(OWNER) as owner:
        pid, directory = line_of(owner).split()
        assert alive(int(pid))

        owner.kill()

        eventually("the child is gone", lambda: not alive(int(pid)), 20)
    with LocalBroker(Path(directory)) as successor:  # its directory is free at once, and whole
        assert successor.running
    shutil.rmtree(directory)


@pytest.mark.broker
def test_a_setting_that_kafka_refuses_ends_the_start_with_its_reason(tmp_path: Path) -> None:
    broker = LocalBroker(tmp_path, properties={"log.cleaner.threads": "none"})

    with pytest.raises(LocalBrokerError, match=r"Invalid value none for configuration log\.cleaner\.threads") as raised:
        broker.start()

    assert "\n" not in str(raised.value)
    assert "the end of Kafka's log" in raised.value.__notes__[0]


@pytest.mark.broker
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_a_signal_and_stops_in_order(number: signal.Signals) -> None:
    port = free_port()
    with running(COMMAND, "", str(port)) as command:
        assert line_of(command) == f"Kafka 4.1.0 listening on 127.0.0.1:{port}"
        place = line_of(command)
        assert place.startswith("data in /")
        directory = Path(place.split()[2])
        assert directory.is_dir()
        assert line_of(command) == "Ctrl-C stops it"
        assert KafkaAdminClient(bootstrap_servers=f"127.0.0.1:{port}").list_topics() == []

        command.send_signal(number)

        assert command.wait(90) == 0
    assert not directory.exists()


@pytest.mark.broker
def test_the_command_says_when_kafka_ends_by_itself(tmp_path: Path) -> None:
    with running(COMMAND, str(tmp_path), str(free_port()), stderr=subprocess.PIPE) as command:
        assert line_of(command).startswith("Kafka 4.1.0 listening on ")
        (jvm,) = psutil.Process(command.pid).children()

        jvm.kill()

        _, error = command.communicate(timeout=60)
        assert command.returncode == 1
        assert error == f"statecast: Kafka ended by itself; {tmp_path / 'kafka.log'} says why\n"


def test_a_taken_port_is_one_line_of_the_command_and_exit_code_1(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        ended = subprocess.run([sys.executable, "-c", COMMAND, str(tmp_path), port], capture_output=True, text=True)

    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr == (
        f"statecast: port {port} on 127.0.0.1 is taken; give another port or stop what listens there\n"
    )


def test_an_unwritable_directory_is_one_line_of_the_command_and_exit_code_1(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    below = tmp_path / "file" / "below"
    command = [sys.executable, "-c", COMMAND, str(below), str(free_port())]
    ended = subprocess.run(command, capture_output=True, text=True)

    assert ended.returncode == 1
    assert ended.stderr == (
        f"statecast: cannot keep Kafka's data in {below}: Not a directory; give a writable directory\n"
    )
