"""Which tags of its streams a container gives back as they were: MP4 and MOV keep a title and a language."""

from __future__ import annotations

from collections import Counter
from typing import IO

from sr_video.decide.containers import lasting_tags
from sr_video.decide.plan import Plan
from sr_video.write.verify import drop_data, expect_tracks, reopen

_NOT_SAID = {"language", "timecode", "handler_name", "vendor_id"}  # have rules of their own, or are the writer's
_LONGEST = 65_000  # bytes: MP4 counts those of a text in 16 bits, and a longer one becomes part of what follows

LostTags = dict[int, tuple[str, ...]]


def find_lost_tags(where: IO[bytes], plan: Plan, packets: Counter[int], tags: dict[int, dict[str, str]]) -> LostTags:
    """The keys that a finished output lacks or has otherwise, by the input's stream index.

    Args:
        packets: how many were written of each stream.
        tags: of the input's streams, by index.
    """
    lost: LostTags = {}
    with reopen(where, plan, "cannot be read") as container:
        for stream, entry in zip(drop_data(container), expect_tracks(plan, packets), strict=False):
            wanted = _told(tags[entry.index])
            found = {key.lower(): value for key, value in _told(dict(stream.metadata)).items()}
            is_torn = bool(found.keys() - {key.lower() for key in wanted})
            keys = tuple(
                key
                for key, value in wanted.items()
                if found.get(key.lower()) != value or (is_torn and len(value.encode(errors="replace")) > _LONGEST)
            )
            if keys:
                lost[entry.index] = keys
    return lost


def _told(tags: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in lasting_tags(tags, is_stream=True).items() if key.lower() not in _NOT_SAID}
