"""The before/after picture of the README, made from a part of a real web video's frame:

    python docs/site/make_pictures.py                      # from docs/site/bird.png
    python docs/site/make_pictures.py bbb_480p_30s.mp4     # cuts bird.png again first

The video is Big Buck Bunny as a website gives it: 854x480, H.264, 0.9 Mbit/s (CC-BY, see NOTICE). The part is enlarged
four times bilinearly, as players do, by clear and by restore.
"""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

import av
import PIL.Image
import PIL.ImageDraw

import srvid

PROJECT = Path(__file__).resolve().parents[2]
FRAME, SCALE = 438, 4
PART = (340, 86, 450, 178)  # of that frame: the bird's head
MARGIN = 16  # of the source around it, so that each network sees as much as in the whole frame
SOURCE = PROJECT / "docs" / "site" / "bird.png"
TARGET = PROJECT / "docs" / "images" / "before-after.jpg"
GAP, CAPTION = 8, 28


def cut_source(clip: Path) -> None:
    """Write PART of frame FRAME of `clip`, with its margin, without loss."""
    with av.open(str(clip)) as container:
        frame = next(islice(container.decode(video=0), FRAME, None))
    left, top, right, bottom = PART
    part = frame.to_image().crop((left - MARGIN, top - MARGIN, right + MARGIN, bottom + MARGIN))
    part.save(SOURCE, optimize=True)


def main() -> None:
    """Cut where a clip is given; enlarge; put beside each other."""
    if sys.argv[1:]:
        cut_source(Path(sys.argv[1]))
    small = PIL.Image.open(SOURCE).convert("RGB")
    size = (small.width * SCALE, small.height * SCALE)
    pictures = [("as a player enlarges it", small.resize(size, PIL.Image.Resampling.BILINEAR))]
    for model in ("clear", "restore"):
        with srvid.open_upscaler(model, scale=SCALE) as upscaler:
            pictures.append((f"srvid --model {model}", upscaler.image(small)))
    edge = MARGIN * SCALE
    width, height = size[0] - 2 * edge, size[1] - 2 * edge
    sheet = PIL.Image.new("RGB", (len(pictures) * (width + GAP) - GAP, height + CAPTION), "white")
    draw = PIL.ImageDraw.Draw(sheet)
    for number, (name, picture) in enumerate(pictures):
        left = number * (width + GAP)
        sheet.paste(picture.crop((edge, edge, edge + width, edge + height)), (left, CAPTION))
        draw.text((left + 2, 5), name, fill="black", font_size=17)
    sheet.save(TARGET, quality=90)
    print(f"wrote {TARGET.relative_to(PROJECT)}: {TARGET.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
