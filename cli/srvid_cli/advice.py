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


def fitting_model(source: str) -> tuple[str, str]:
    """(the model for a video that nobody named one for, why in one line; '' where it is the usual one).

    Rests on the bitstream alone, so the same input gets the same model each time: see docs/adr/0009. What cannot be
    measured (pipes, URLs, other codecs than H.264) gets the usual model.

    Args:
        source: a path, a URL, '-' or a name of FFmpeg's.
    """
    from sr_video.read.hardness import compression_of
    from sr_zoo.models import DEFAULT_MODEL
    from srvid.advice import RESTORING_MODEL

    compression = compression_of("pipe:0" if source in ("-", "pipe:") else source)
    if compression.hardness != "hard" or not compression.measured:
        return DEFAULT_MODEL, ""
    return RESTORING_MODEL, (
        f"the input is compressed hard ({compression.measured}): {RESTORING_MODEL} cleans it up, but takes longer; "
        f"{option('model', DEFAULT_MODEL)} leaves it as it is"
    )
