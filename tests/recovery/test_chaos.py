"""`make chaos`, short: a few random faults under load, and every event still has exactly its outcome."""

import random
from pathlib import Path

import pytest

from loadtest.findings import Delivery
from loadtest.port import ClientName
from tests.chaos.run import Options, run


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("client", "delivery"), [("confluent", "exactly_once"), ("kafka-python", "exactly_once")]
)  # at least once: `make chaos DELIVERY=at_least_once`
def test_random_faults_cost_no_event(tmp_path: Path, client: ClientName, delivery: Delivery) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")  # shown where it fails

    report = run(Options(seed, tmp_path, kills=4, seconds=15.0, client=client, delivery=delivery))

    assert not report.wrong(), report.table()
