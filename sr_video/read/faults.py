"""What is found wrong while a video is decoded: noted where it is to be salvaged, raised otherwise.

packets ─► count_packet ─► decoder ─► count_frame ─► check_tail: did all that went in come out?
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
from av.packet import Packet
from av.stream import Stream

from sr_core.errors import DamagedMedia
from sr_video.native import exact
from sr_video.read.damage import SALVAGE_HINT, TORN, Damage, missing_bytes, note_torn
from sr_video.read.facts import VideoFacts
from sr_video.read.second_look import first_error

_MAX_DETAILS = 5
_MISSING_SHARE = 4  # a quarter of the pictures gone is damage; VP8's hidden frames are fewer, and not of these codecs


class Faults:
    """Of one input.

    Attributes:
        damage: what was found since the decoding began.
    """

    def __init__(self, name: str, *, salvages: bool, hint: str = SALVAGE_HINT) -> None:
        """`hint`: what to do about a fault that ends the reading."""
        self.damage = Damage()
        self._hint = hint
        self._name = name
        self._salvages = salvages
        self.begin_decoding()

    def begin_decoding(self, *, start_seconds: Fraction = Fraction(0)) -> None:
        """Start counting again: a decoder begins afresh, in a file whose clock begins at `start_seconds`."""
        self._start_seconds = start_seconds
        self._packets_in = self._frames_out = 0
        self._torn: set[int] = set()  # streams that end in the middle of a packet, as far as is read
        self._early: list[int | None] = []  # times of the packets before the first frame

    def forget(self) -> None:
        """Drop what was found so far: it is met again, or was not damage."""
        self.damage = Damage()

    def note(
        self,
        detail: str,
        packet: Packet[Stream] | None = None,
        *,
        packets: int = 0,
    ) -> None:
        """Take down one fault.

        Args:
            packet: where it was met.
            packets: that are lost by it.

        Raises:
            DamagedMedia: the input is not to be salvaged.
        """
        damage = self.damage
        damage.undecodable_packets += packets
        if len(damage.details) < _MAX_DETAILS:
            damage.details.append(detail)
        stamp = None if packet is None else packet.pts if packet.pts is not None else packet.dts
        if damage.first_at_seconds is None and packet is not None and stamp is not None:
            damage.first_at_seconds = stamp * exact(packet.time_base) - self._start_seconds
        if not self._salvages:
            raise DamagedMedia(f"{self._name} is damaged: {damage or detail}", hint=self._hint)

    def note_hole(self, packet: Packet[Stream] | None) -> None:
        """Take down that packets are missing before `packet`, or at the end."""
        self.damage.holes += 1
        self.note("packets are missing", packet)

    def count_packet(self, packet: Packet[Stream]) -> None:
        """Count a picture that goes into the decoder."""
        self._packets_in += 1
        if not self._frames_out:
            self._early.append(packet.pts)

    def count_frame(self, frame: av.VideoFrame, packet: Packet[Stream]) -> None:
        """Count a picture that came out of it as `packet` went in."""
        if self._early and frame.pts is not None:  # what is shown before the first leans on what was cut off
            self._packets_in -= sum(pts is not None and pts < frame.pts for pts in self._early)
        self._early = []
        self._frames_out += 1
        if frame.is_corrupt:
            self.damage.corrupt_frames += 1
            self.note("a frame is marked as damaged", packet)

    def watch_end(self, packet: Packet[Stream]) -> None:
        """Look at a packet of any stream: it may be the last, and not whole."""
        note_torn(packet, self._torn)

    def check_end(self, wanted: frozenset[int]) -> None:
        """Notice that a `wanted` stream ends in the middle of a packet."""
        if self._torn & wanted and not self.damage.ends_early:
            self.damage.ends_early = TORN
            self.note(TORN)

    def check_bytes(self, file: Path, frames: int, frames_expected: int) -> None:
        """Notice a file that was cut off, which no read error tells."""
        missing = missing_bytes(file)
        if missing and not self.damage.ends_early:
            of = f" of {frames_expected}" if frames_expected > frames else ""
            self.damage.ends_early = f"the file ends {missing} bytes early, after {frames}{of} frames"
            self.note(self.damage.ends_early)

    def check_tail(self, path: str, stream: int, facts: VideoFacts, *, is_retimed: bool) -> None:
        """Notice pictures that went into the decoder and never came out, which its frame threads do not tell."""
        missing = self._packets_in - self._frames_out
        if missing <= 0 or self.damage:
            return
        of = f"{missing} of {self._packets_in} pictures do not decode"
        is_share = missing * _MISSING_SHARE > self._packets_in and not facts.is_interlaced
        if facts.codec in ("h264", "hevc") and (is_retimed or is_share):
            self.note(of, packets=missing)
        elif what := first_error(path, stream):
            self.note(f"{of}: {what}", packets=missing)
