"""Data as users have it, made events: files, tables, texts, topics. Knows nothing of streams' states or torch.

Whoever reads events from a file (`statecast replay`, the load test) imports this, so it must be fast to import: what
only some inputs need (Kafka, fsspec) is loaded when such an input is read.
"""

from training.data.events import Events
from training.data.long import read_events
from training.data.read import read

__all__ = ["Events", "read", "read_events"]
