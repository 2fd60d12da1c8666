"""Whether NVENC reads the engine's frames on the card, where NVDEC left those that the engine reads.

    NVDEC ─► engine ─► NVENC     one card, NV12 or P010, the size that the engine makes: no pixel sees the host

Anything else goes through ordinary memory, and the plan says why.
"""

from __future__ import annotations

from fractions import Fraction

import av
from av.codec.hwaccel import HWAccel

from sr_core.backends.cuda import Cuda
from sr_core.errors import SrError
from sr_video.decide.encoding import EncoderSettings
from sr_video.native import last_words, logged
from sr_video.pixels import ffmpeg_name
from sr_video.read.facts import VideoFacts

NVENC_OPTION = "gpu"  # `VideoCodec.device_option` of NVENC's rows
_ON_CARD = ("nv12", "p010le")  # what PyAV makes frames on a card of, and NVENC reads
_TRIAL_SIZE = (256, 144)


def card_of_encoder(
    settings: EncoderSettings, facts: VideoFacts, engine_scale: int, frames_on: int | None
) -> tuple[int | None, list[str]]:
    """(the card on which NVENC reads frames, or None; why not, for people).

    Args:
        frames_on: the card that decoded frames stay on; None: they are in memory, and so is everything after.
    """
    codec = settings.codec
    if frames_on is None or codec.device_option != NVENC_OPTION:
        return None, []
    made = ffmpeg_name(facts.format)
    reason = ""
    if settings.device not in (None, frames_on):
        reason = f"it is on GPU {settings.device}, the frames are on {frames_on}"
    elif (settings.width, settings.height) != (facts.width * engine_scale, facts.height * engine_scale):
        reason = f"they are resampled to {settings.width}x{settings.height}"
    elif made not in _ON_CARD or made != settings.pix_fmt:
        reason = f"the engine makes {made} of them, the encoder takes {settings.pix_fmt}"
    else:
        reason = why_not_on_card(codec.encoder, frames_on, made)
    return (None, [f"frames are downloaded for {codec.encoder}: {reason}"]) if reason else (frames_on, [])


def why_not_on_card(encoder: str, card: int, samples: str) -> str:
    """Why `encoder` does not open for frames on `card`, in CUDA's or FFmpeg's words; '' where it does. Tries it."""
    try:
        with logged():
            context = av.CodecContext.create(encoder, "w", hwaccel=accel_on(card))
            assert isinstance(context, av.VideoCodecContext)
            context.width, context.height = _TRIAL_SIZE
            context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
            take_card_frames(context, samples)
            context.open()
    except (av.FFmpegError, OSError, ValueError, NotImplementedError) as error:
        return last_words(error)
    except SrError as error:
        return error.message
    return ""


def accel_on(card: int) -> HWAccel:
    """What `add_stream` and `CodecContext.create` take, to be called in this thread.

    See Note [context] in `sr_video.read.hwaccel`: the frames are in TensorRT's.
    """
    Cuda().cudaSetDevice(card)
    return HWAccel("cuda", device=card, options={"primary_ctx": "0", "current_ctx": "1"})


def take_card_frames(context: av.VideoCodecContext, samples: str) -> None:
    """Tell an encoder that is not open yet what its frames on the card consist of."""
    context.pix_fmt = "cuda"
    context.sw_format = samples
