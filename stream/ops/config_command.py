"""`statecast config`: every setting, its value and where it comes from; secrets hidden."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stream.configuration import Origin, load_from, options
from stream.secrets import hide
from stream.settings import Settings


def config(flags: Mapping[tuple[str, str], Any], config: Path | None) -> None:
    """Print every setting of `serve`, its value and where it comes from: flag, environment, file or default."""
    settings, origins = load_from(flags, config)
    rows = list(_rows(settings, origins))
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    for name, value, origin in rows:
        print(f"{name.ljust(widths[0])}  {value.ljust(widths[1])}  {origin}")


def _rows(settings: Settings, origins: Mapping[tuple[str, str], Origin]) -> Iterator[tuple[str, str, str]]:
    computed = {(option.section, option.name): option.default for option in options()}
    for section in Settings.model_fields:
        part = getattr(settings, section)
        for name in type(part).model_fields:
            place = section, name
            value = hide(getattr(part, name))
            if value in (None, "", {}):  # found out later, or not there
                value = computed.get(place, "none")
            if isinstance(value, Mapping):
                value = json.dumps(value)
            yield f"{section}.{name}", str(value), origins.get(place, "default")
