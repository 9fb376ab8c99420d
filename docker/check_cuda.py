"""`make images-check-cuda`: the CUDA image on a machine without a GPU, as far as that goes. It says what is missing, or
serves on the processor where it may, and drains a topic of the embedded Kafka so, which the load test verifies.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from containers import container, size, told

from export.sample import random_model
from localbroker.broker import LocalBroker

CUDA = "localhost/statecast-cuda"
LIBRARIES = """
import onnxruntime, sys
onnxruntime.preload_dlls()
sys.exit("CUDAExecutionProvider" not in onnxruntime.get_available_providers())
"""


def load(model: Path, broker: LocalBroker, *options: str) -> int:
    place = (f"--bootstrap-servers={broker.bootstrap_servers}", "--input-topic=events", f"--model={model}")
    return subprocess.run([sys.executable, "-m", "statecast", "loadtest", *place, *options], check=False).returncode


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="statecast-images-") as folder, LocalBroker() as broker:
        model = Path(folder) / "model.onnx"
        random_model(model, hidden=16, scaling="stream", lags=(1, 2, 24))
        Path(folder).chmod(0o755)
        model.chmod(0o644)
        settings = {
            "STATECAST_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap_servers,
            "STATECAST_KAFKA__INPUT_TOPIC": "events",
            "STATECAST_KAFKA__OUTPUT_TOPIC": "predictions",
            "STATECAST_HTTP__HTTP": "",
        }
        with container(CUDA, model) as service:
            told("its size", True, f"{size(CUDA) / 1e9:.2f} GB")
            code, text = service.said("python", "-c", LIBRARIES)
            told("onnxruntime has the provider for CUDA, and its libraries load", code == 0 and not text, text)
            code, text = service.said("statecast", "inspect", "/model/model.onnx")
            told("inspects a model file", code == 0 and "fingerprint" in text)
            code, text = service.said(*service.command, **settings)
            told(
                "without a device: one line, exit 1",
                code == 1 and text.startswith("statecast: --provider cuda: ") and text.count("\n") == 1,
                text.strip(),
            )
            told(
                "the load test fills a topic", load(model, broker, "--create-topics", "--events=2000", "--preload") == 0
            )
            code, text = service.said(*service.command, "--until-end", **settings, STATECAST_MODEL__PROVIDER="auto")
            told("with auto it says why, and drains the topic on the processor", code == 0 and "no_cuda" in text)
            verified = load(model, broker, "--output-topic=predictions", "--events=0", "--verify")
            told("each event has one prediction, with the replay's bits", verified == 0)


if __name__ == "__main__":
    main()
