"""Every command in the blocks of README.md and docs/*.md is run here, or stands in NOT_RUN with its reason.

One reader walks docs/getting-started.md from its first command to its last, with the broker that it starts; the other
pages follow in the same folder, with the files that they speak of, made small, and a text that was run before is not
run again. The ports 9092 and 8080 are exchanged for free ones, nothing else is changed. A service that does not end by
itself is seen to be ready, and stopped by SIGTERM. Not run here: what stands in NOT_RUN, the curl lines of
docs/http.md, which tests/integration/test_http_contract.py runs, and commands inside of sentences and tables.
"""

import math
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaProducer

from tests.integration.page_commands import Shell, blocks, commands
from tests.service import ROOT, create_topic

STARTED, HTTP, OPERATIONS = (ROOT / "docs" / f"{name}.md" for name in ("getting-started", "http", "operations"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

NOT_RUN = {
    "installs, which the tests' own environment has done": """
        git clone URL statecast && cd statecast
        python3.11 -m venv .venv && . .venv/bin/activate
        pip install -c constraints.txt -e '.[fast,train,broker,loadtest]'
    """,
    "takes minutes, or is the tests themselves; tests/integration/test_demo.py runs the demo": """
        make demo
        make test
        make bench
        make chaos
        make bench-checkpoint ARGS="--repeat 3"
        make bench-restore
        make bench-takeover ARGS="--rates 5000"
        make bench-rebalance
        .venv/bin/python -m benchmarks.banked --streams 10000 1000000 4000000 --calls 200
    """,
    "wants a broker with TLS and passwords: tests/secure has one, and starts the service so": """
        STATECAST_KAFKA__SASL_PASSWORD_FILE=/run/secrets/kafka-password statecast serve --config statecast.toml
    """,
    "Kafka's own scripts, which the embedded broker lacks; tests/secure grants the same rights": """
        kafka-acls --bootstrap-server broker:9092 --add --allow-principal User:statecast --operation READ \
        --operation DESCRIBE_CONFIGS --topic readings
        kafka-acls --bootstrap-server broker:9092 --add --allow-principal User:statecast --operation WRITE \
        --operation DESCRIBE_CONFIGS --operation CREATE --topic predictions --topic predictions.dead-letters
        kafka-acls --bootstrap-server broker:9092 --add --allow-principal User:statecast --operation READ \
        --operation WRITE --operation DESCRIBE_CONFIGS --operation CREATE --topic statecast-readings. \
        --resource-pattern-type prefixed
        kafka-acls --bootstrap-server broker:9092 --add --allow-principal User:statecast --operation READ --group \
        statecast-readings
        kafka-acls --bootstrap-server broker:9092 --add --allow-principal User:statecast --operation WRITE \
        --transactional-id statecast-readings --resource-pattern-type prefixed
    """,
    "wants docker or kubectl, or is of the trial with them": """
        docker run --rm --read-only --tmpfs /tmp --cap-drop ALL --hostname statecast-1 --stop-timeout 40 -v \
        ./model.onnx:/model/model.onnx:ro -v statecast-1:/state -e STATECAST_KAFKA__BOOTSTRAP_SERVERS=kafka:9092 \
        -e STATECAST_KAFKA__INPUT_TOPIC=events -e STATECAST_KAFKA__OUTPUT_TOPIC=predictions -e \
        STATECAST_STATE__STATE_DIR=/state statecast
        docker run --rm --gpus all ... -e STATECAST_LIMITS__MEMORY_LIMIT=4GiB statecast-cuda
        docker run --rm --user "$(id -u):$(id -g)" -v .:/work statecast-training train data.csv --key station \
        --value temperature --time time --out run
        export MODEL=/path/to/model.onnx
        mkdir -m 700 docker/secrets
        openssl rand -hex 32 > docker/secrets/http_token
        openssl rand -hex 12 > docker/secrets/grafana_password
        chmod 444 docker/secrets/*
        docker compose -f docker/compose.yaml up --build --detach --wait statecast-1 statecast-2 grafana
        docker compose -f docker/compose.yaml run --build --rm loadtest
        docker compose -f docker/compose.yaml down --volumes
        docker build -f docker/Dockerfile.model -t registry.example/statecast-model:1f0c9a2e run/
        kubectl apply -f docker/kubernetes/namespace.yaml
        kubectl -n statecast create secret generic statecast --from-literal=http-token="$(openssl rand -hex 32)" \
        --from-file=kafka-password --from-file=kafka-ca.pem
    """,
}


def one_line(text: str) -> str:
    return " ".join(text.split())


LISTED = {one_line(line) for lines in NOT_RUN.values() for line in lines.splitlines() if line.strip()}


def runnable(page: Path) -> list[str]:
    return [command for command in commands(page) if one_line(command) not in LISTED]


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A reader's shell at the end of the first hour: a model, a filled topic, predictions; the broker still runs."""
    shell = Shell(tmp_path_factory.mktemp("walk"))
    try:
        for command in runnable(STARTED):
            shell.run(command)
        (toml,) = [block for block in blocks(OPERATIONS) if block.startswith("[model]")]
        (shell.folder / "statecast.toml").write_text(shell.told(toml))
        yield shell
    finally:
        shell.close()


def given_files_to_train_on(shell: Shell) -> None:
    """As small as can be split in three."""
    noise = random.Random(1)
    hours = [f"2024-01-0{h // 24 + 1}T{h % 24:02}:00:00Z" for h in range(36)]
    wide = [f"{t},{math.sin(h / 4):.2f},{10 + noise.random():.2f}" for h, t in enumerate(hours)]
    log = [f"host-{h % 2},{t},{noise.choice(('started', 'worked', 'stopped'))}" for h, t in enumerate(hours[:16])]
    charts = [
        f"{kind}-{i},{sign * x + noise.random():.2f},{kind}"
        for i in range(6)
        for kind, sign in (("rises", 1), ("falls", -1))
        for x in range(5)
    ]
    for name, head, rows in (
        ("ETTh1", "date,HUFL,OT", wide),
        ("log", "host,at,template", log),
        ("charts", "sequence,value,kind", charts),
    ):
        (shell.folder / f"{name}.csv").write_text("\n".join([head, *rows, ""]))
    (shell.folder / "play.txt").write_text("ROMEO:\nBut, soft! what light through yonder window breaks?\n")
    create_topic(shell.servers, "transformers")


def given_a_dead_letter(shell: Shell) -> None:
    producer = KafkaProducer(bootstrap_servers=shell.servers)
    producer.send("readings", key=b"boiler-1", value=b"21.4 degrees", partition=0).get(60)
    producer.close()
    shell.run("statecast serve --config statecast.toml --until-end")


GIVEN = {"training.md": given_files_to_train_on, "messages.md": given_a_dead_letter}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_the_page_works_or_is_listed(page: Path, walk: Shell) -> None:
    left = [command for command in runnable(page) if command not in walk.done]
    if page == HTTP:
        assert all(command.startswith("curl ") for command in left), left
        return
    if left and page.name in GIVEN and page.name not in walk.done:  # a second try goes on where the first one failed
        GIVEN[page.name](walk)
        walk.done.append(page.name)
    for command in left:
        walk.run(command)


def test_nothing_is_listed_that_no_page_has() -> None:
    assert not LISTED - {one_line(command) for page in PAGES for command in commands(page)}
