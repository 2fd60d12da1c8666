"""What would serve an input better than the default, in one line; measured, never guessed from a name."""

from __future__ import annotations

from sr_core.wording import option


def encoding_advice(backend: str, codec: str | None) -> str:
    """One line where an NVIDIA card runs the network, nobody named a codec, and the card could encode; else ''.

    Args:
        backend: what `open_upscaler` said of the backend.
    """
    from sr_video.decide.hardware_encoders import HARDWARE_ENCODERS, why_not_here

    if codec is not None or not backend.startswith("TensorRT") or why_not_here(HARDWARE_ENCODERS["hevc_nvenc"]):
        return ""
    return f"the card could encode as well: {option('codec', 'hevc_nvenc')} would free the CPU"


def restoring_advice(path: str, index: int, model: str, scale: object) -> str:
    """One line where stream `index` of `path` is compressed so hard that another model is worth a try; else ''.

    Args:
        model: what was chosen; only the default model is advised against.
        scale: what the engine multiplies by; the other model must have it.
    """
    from sr_video.read.hardness import compression_of
    from sr_zoo.models import DEFAULT_MODEL
    from srvid.advice import RESTORING_MODEL
    from srvid.front_door import model_names

    if model != DEFAULT_MODEL or f"{RESTORING_MODEL}-x{scale}" not in model_names():
        return ""
    compression = compression_of(path, index)
    if compression.hardness != "hard" or not compression.measured:
        return ""
    return (
        f"the input is compressed hard ({compression.measured}): {option('model', RESTORING_MODEL)} would be cleaner; "
        f"a few seconds of it show whether ({option('start')}, {option('end')})"
    )
