"""One locked broker for all tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.secure.fortress import Fortress


@pytest.fixture(scope="session")
def fortress(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fortress]:
    made = Fortress(tmp_path_factory.mktemp("fortress"))
    made.start()
    yield made
    made.broker.stop()
