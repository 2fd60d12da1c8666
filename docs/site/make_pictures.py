"""The before/after picture of the README, made from the clip in examples/:

    python docs/site/make_pictures.py

The clip (240x134, CC0) is compressed by x264 at crf 26, as many web videos are. One decoded frame is then
enlarged four times bilinearly, as players do, by clear and by clear-restore; a part of each is written beside the
others.
"""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import PIL.Image
import PIL.ImageDraw
from av.video.stream import VideoStream

import srvid

PROJECT = Path(__file__).resolve().parents[2]
CRF, FRAME, SCALE = "26", 24, 4
PART = (390, 165, 710, 425)  # of the enlarged frame: the bud, in focus
TARGET = PROJECT / "docs" / "images" / "before-after.jpg"


def compressed_frame(clip: Path) -> np.ndarray:
    """Frame number FRAME of `clip` after x264 at CRF, as RGB."""
    written = io.BytesIO()
    with av.open(str(clip)) as source, av.open(written, "w", format="matroska") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": CRF, "preset": "medium"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = source.streams.video[0].width, source.streams.video[0].height
        stream.pix_fmt = "yuv420p"
        for frame in source.decode(video=0):
            frame.pict_type = 0
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    written.seek(0)
    with av.open(written) as container:
        return next(
            frame.to_ndarray(format="rgb24")
            for number, frame in enumerate(container.decode(video=0))
            if number == FRAME
        )


def main() -> None:
    small = PIL.Image.fromarray(compressed_frame(PROJECT / "examples" / "flower.mp4"))
    size = (small.width * SCALE, small.height * SCALE)
    pictures = [("as a player enlarges it", small.resize(size, PIL.Image.Resampling.BILINEAR))]
    for model in ("clear", "clear-restore"):
        with srvid.open_upscaler(model, scale=SCALE) as upscaler:
            pictures.append((f"srvid --model {model}", upscaler.image(small)))
    side, caption = PART[2] - PART[0], 24
    sheet = PIL.Image.new("RGB", (len(pictures) * (side + 8) - 8, PART[3] - PART[1] + caption), "white")
    draw = PIL.ImageDraw.Draw(sheet)
    for number, (name, picture) in enumerate(pictures):
        sheet.paste(picture.crop(PART), (number * (side + 8), caption))
        draw.text((number * (side + 8) + 2, 5), name, fill="black", font_size=13)
    sheet.save(TARGET, quality=90)
    print(f"wrote {TARGET.relative_to(PROJECT)}: {TARGET.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
