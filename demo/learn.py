"""The training step: `statecast train` on the data's first part, and what it says of what it learned."""

from dataclasses import dataclass
from demo.result import Learned
from demo.screen import Screen
from demo.workspace import Workspace


@dataclass(frozen=True)
class Model:
    """What the report tells of the model."""

    curve: list[Learned]
    curve_unit: str
    trained: str
    told: str


def learn(workspace: Workspace, seconds: float, screen: Screen) -> Model: ...
