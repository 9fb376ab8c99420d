"""Where the network runs. Asks onnxruntime what there is, and imports what it needs only when it is chosen."""

from pathlib import Path

import structlog

from engine.model import Model, Network

log = structlog.get_logger()


def load(path: Path, provider: str) -> Network:
    """The model on the provider called so; "auto" is CUDA where that can be used, else the processor.

    Raises DeviceFault where there is no such device, ModelFileError.
    """
    if provider == "cpu":
        return Model(path)
    from engine.banked import BankedModel
    from engine.device import CPU, DeviceFault, cuda
    from export.signature import ModelFileError

    if provider == "cpu-banked":
        return BankedModel(path, CPU)
    try:
        return BankedModel(path, cuda())
    except (DeviceFault, ModelFileError) as error:
        if provider == "cuda":
            raise
        model = Model(path)  # raises where it is the file that is wrong
        log.info("no_cuda", reason=str(error), provider=model.provider)
        return model
