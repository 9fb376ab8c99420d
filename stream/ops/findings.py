"""What a look at something found: how it stands, what was seen, and what to do."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from stream.errors import StatecastError

Level = Literal["ok", "note", "warning", "fault"]


@dataclass(frozen=True)
class Finding:
    """fault: `serve` would not start, or would not work; warning: it would, with a risk; note: good to know."""

    what: str
    level: Level
    seen: str
    mend: str = ""


Look = Callable[[], Iterator[Finding]]


def looked(what: str, look: Look) -> Iterator[Finding]:
    """What a look finds; an error that it ends with is a fault, too."""
    try:
        yield from look()
    except Exception as error:  # a model's errors, the settings' and Kafka's have no common base
        if not isinstance(error, StatecastError) and not hasattr(error, "exit_code"):
            raise
        seen, _, mend = str(error).rpartition("; ")
        yield Finding(what, "fault", seen or str(error), mend if seen else "")
