"""For the tests of what is shipped: a container's environment, read as the service in it would."""

from pathlib import Path
from typing import Any

import pytest

from stream.configuration import load
from stream.settings import Settings

USER = "10001"  # of every image
SECRETS = "/run/secrets/"


def settings_of(environment: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """What `serve` takes from a container's environment, whose secrets are files in `folder`."""
    for name, value in environment.items():
        if str(value).startswith(SECRETS):
            path = folder / Path(value).name
            path.write_text("a-secret\n")
            value = str(path)
        if name.startswith("STATECAST_"):
            monkeypatch.setenv(name, str(value))
    return load({}, None)
