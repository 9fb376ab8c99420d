"""Fixtures of the unit tests."""

import logging
from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture
def silence() -> Iterator[None]:
    """Thousands of lives have much to say."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()
