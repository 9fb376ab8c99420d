"""Applications of the service, made on the shared broker."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.application import Application, MakeApplication


@pytest.fixture
def make(kafka: Any, make_topic: Callable[..., str], tmp_path: Path) -> MakeApplication:
    def make(client: str = "confluent", partitions: int = 3) -> Application:
        return Application(kafka.bootstrap_servers, tmp_path, make_topic(partitions=partitions), client)

    return make


@pytest.fixture
def application(make: MakeApplication) -> Application:
    """One that has state, and does not run."""
    application = make()
    application.feed()
    application.drain()
    return application
