"""What the operator's commands have in common: which application, on which brokers, by which settings."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from stream.broker.port import Identity
    from stream.settings import Settings

ApplicationId = Annotated[str, typer.Option("--application-id", help="whose", metavar="ID")]
Servers = Annotated[
    str | None, typer.Option("--bootstrap-servers", help="brokers, HOST:PORT[,HOST:PORT] [127.0.0.1:9092]")
]
Config = Annotated[Path | None, typer.Option("--config", help="TOML file of `serve`: brokers, security, topics")]


def settings_of(config: Path | None, required: tuple[str, ...] = (), **kafka: Any) -> "Settings":
    """The service's settings, as an operator's command needs them. kafka: options of that section that were given; None
    is not. required: topics that the command cannot do without. Raises UsageError."""
    from stream.configuration import load

    return load({("kafka", name): value for name, value in kafka.items() if value is not None}, config, required)


def identity_of(settings: "Settings", doing: str) -> "Identity":
    """Who the command is towards the brokers; never anybody's slot. doing: one word."""
    from stream.broker.port import Identity
    from stream.security import client_properties

    application, kafka = settings.application_id, settings.kafka
    return Identity(kafka.bootstrap_servers, application, f"{application}-{doing}", client_properties(kafka))
