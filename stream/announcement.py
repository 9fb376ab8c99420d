"""The one line at the start that says everything that matters, and the two metrics that say the same. No secret is in
it: of client properties only what was chosen by name."""

import platform

import onnxruntime
import structlog

import stream
from engine.model import Network
from stream import metrics
from stream.broker.clients import version
from stream.broker.port import Client
from stream.settings import Settings
from stream.topics import Layout

log = structlog.get_logger()


def announce(settings: Settings, client: Client, model: Network, layout: Layout) -> None:
    """Say what serves, what is served, and between which topics."""
    kafka, versions = settings.kafka, (stream.VERSION, onnxruntime.__version__, version(client))
    metrics.MODEL_INFO.labels(model.fingerprint[:8], model.provider).set(1)
    metrics.BUILD_INFO.labels(*versions[:2], client.name, versions[2], platform.python_version()).set(1)
    log.info(
        "serving",
        model=str(settings.model.path),
        fingerprint=model.fingerprint[:8],
        task=model.signature.task,
        provider=model.provider,
        client=client.name,
        delivery=settings.delivery.delivery,
        servers=kafka.bootstrap_servers,
        application_id=settings.application_id,
        slot=settings.slot,
        input=f"{kafka.input_topic} [{layout.partitions}]",
        output=kafka.output_topic,
        dead_letters=settings.dead_letter_topic,
        changelog=layout.changelog.name,
        codec=kafka.codec,
        memory_limit=int(settings.limits.memory_limit),
        state_dir=str(settings.state.state_dir or ""),
        statecast=versions[0],
        onnxruntime=versions[1],
        client_version=versions[2],
        python=platform.python_version(),
    )
