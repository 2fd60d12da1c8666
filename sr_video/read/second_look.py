"""A slower decoding that tells more: one thread, where frame threads passed over an error at the end."""

from __future__ import annotations

import av

from sr_video.native import last_words, native_path

_TAIL_PICTURES = 600  # with one thread; groups of pictures are shorter, mostly


def first_error(path: str, index: int) -> str:
    """What a decoder with one thread says of the last pictures of stream `index`; '' for nothing.

    It begins at the last keyframe, or at the beginning where the file cannot be searched.
    """
    with av.open(native_path(path), "r") as container:
        stream = container.streams[index]
        if not isinstance(stream, av.VideoStream):
            return ""
        stream.codec_context.thread_type = "SLICE"
        stream.codec_context.thread_count = 1
        last = (stream.start_time or 0) + (stream.duration or 0)
        try:
            if last:
                container.seek(last, stream=stream, backward=True)
        except av.FFmpegError:
            pass  # raw streams cannot; they are read from where they are
        try:
            for number, packet in enumerate(container.demux(stream)):
                if any(frame.is_corrupt for frame in packet.decode() if isinstance(frame, av.VideoFrame)):
                    return "a frame is marked as damaged"
                if number > _TAIL_PICTURES and packet.is_keyframe:
                    break
        except av.error.EOFError:
            return ""
        except av.FFmpegError as error:
            return last_words(error)
    return ""
