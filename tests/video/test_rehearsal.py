"""Whatever a verification could reject is known, converted or said before the first frame."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest

from sr_core.errors import VerificationError
from sr_video import transcode
from sr_video.write.subtitles import SubtitleConverter
from tests.video.conftest import Clip, read_back, upscaled

SHEARED = (65536, 1000, 0, -3000, 65536, 0, 0, 0, 1 << 30)  # no turn, and no mirror


def with_chapters(*chapters: tuple[int, int, str]) -> object:
    def setup(out: av.container.OutputContainer, video: av.VideoStream) -> None:
        out.set_chapters(
            [
                {"id": number, "start": start, "end": end, "time_base": Fraction(1, 1000), "metadata": {"title": title}}
                for number, (start, end, title) in enumerate(chapters, 1)
            ]  # type: ignore[arg-type]
        )

    return setup


def chapters_of(path: Path) -> list[tuple[Fraction, str]]:
    with av.open(str(path)) as container:
        return [
            (Fraction(chapter["start"]) * Fraction(str(chapter["time_base"])), chapter["metadata"].get("title", ""))
            for chapter in container.chapters()
        ]


def with_subtitles(plain: Path, target: Path, cues: list[tuple[int, int]]) -> Path:
    """`plain` with cues of whole seconds."""
    text = target.with_suffix(".srt")
    text.write_text(
        "".join(f"{n}\n00:00:{a:02},000 --> 00:00:{b:02},000\nline {n}\n\n" for n, (a, b) in enumerate(cues, 1))
    )
    with av.open(str(plain)) as video, av.open(str(text)) as words, av.open(str(target), "w") as out:
        copies = [out.add_stream_from_template(file.streams[0]) for file in (video, words)]
        for read, copy in zip((video, words), copies, strict=True):
            for packet in read.demux(read.streams[0]):
                if packet.size:
                    packet.stream = copy
                    out.mux(packet)
    return target


@pytest.mark.parametrize("ending", ["mp4", "mov"])
@pytest.mark.parametrize("frames", [1, 2, 3])
def test_so_few_frames_that_x265_has_no_decoding_times_are_stored(
    frames: int, ending: str, clip: Clip, tmp_path: Path
) -> None:
    target = tmp_path / f"out.{ending}"
    for _ in range(4):  # what it gives is what its memory held before
        upscaled(clip(frames=frames), target, codec="libx265", preset="medium", overwrite=True)
        with av.open(str(target)) as made:
            packets = [packet for packet in made.demux(video=0) if packet.size]
        assert len(packets) == frames
        for packet in packets:
            assert packet.dts is not None
            assert packet.pts is not None
            assert abs(packet.pts - packet.dts) * Fraction(str(packet.time_base)) <= Fraction(3, 25)


def test_a_turn_that_matroska_cannot_store_is_said_to_be_lost(clip: Clip, tmp_path: Path) -> None:
    source = clip("in.mp4", codec="libx264", setup=lambda out, video: video.set_display_matrix(SHEARED))
    heard = upscaled(source, tmp_path / "out.mkv")
    assert any("rotation tag is lost" in note for note in heard.notes)
    kept = upscaled(source, tmp_path / "out.mp4", codec="libx264")
    assert not any("rotation" in note for note in kept.notes)


@pytest.mark.parametrize("ending", ["mp4", "mov"])
def test_chapters_that_mp4_would_begin_at_zero_keep_their_times(ending: str, clip: Clip, tmp_path: Path) -> None:
    source = clip(setup=with_chapters((100, 200, "one"), (200, 300, "two")))
    heard = upscaled(source, tmp_path / f"out.{ending}", codec="libx264")
    assert chapters_of(tmp_path / f"out.{ending}") == [
        (0, "0:00"),
        (Fraction(1, 10), "one"),
        (Fraction(1, 5), "two"),
    ]
    assert any("another is put before it" in note for note in heard.notes)


def test_a_chapter_without_a_title_is_called_by_its_time_in_mp4(clip: Clip, tmp_path: Path) -> None:
    source = clip(setup=with_chapters((0, 100, "one"), (100, 200, ""), (200, 300, "three")))
    upscaled(source, tmp_path / "out.mp4", codec="libx264")
    assert [title for _, title in chapters_of(tmp_path / "out.mp4")] == ["one", "0:00", "three"]


def test_chapters_with_names_that_mp4_cuts_off_are_said_to_be_lost(clip: Clip, tmp_path: Path) -> None:
    source = clip(setup=with_chapters((0, 100, "one"), (100, 200, "x" * 70000)))
    heard = upscaled(source, tmp_path / "out.mp4", codec="libx264")
    (note,) = [note for note in heard.notes if "chapters are lost" in note]
    assert len(note) < 250
    assert chapters_of(tmp_path / "out.mp4") == []
    assert not any("chapters" in note for note in upscaled(source, tmp_path / "out.mkv").notes)


def test_a_tag_too_long_for_mov_is_said_to_be_lost_and_the_others_stay(clip: Clip, tmp_path: Path) -> None:
    source = clip(tags={"title": "x" * 70000, "artist": "somebody"})
    heard = upscaled(source, tmp_path / "out.mov", codec="libx264")
    assert any("tags lost: title" in note for note in heard.notes)
    with av.open(str(tmp_path / "out.mov")) as made:
        assert made.metadata["artist"] == "somebody"


def test_cues_that_arrive_late_fail_the_verification_and_the_rehearsal(
    clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mistake of old: a cue ends after the next begins, and MP4 moves the next behind it."""

    def unchanged(converter: SubtitleConverter, packet: av.Packet) -> object:
        yield packet

    plain = clip(frames=8, ticks=[1000 * n for n in range(8)])
    source = with_subtitles(plain, tmp_path / "with.mkv", [(0, 3), (1, 4), (2, 5)])
    monkeypatch.setattr(SubtitleConverter, "_end_by", unchanged)
    heard = upscaled(source, tmp_path / "out.mp4", codec="libx264")
    assert any("stream 1, subtitle" in note and "lost" in note for note in heard.notes)
    monkeypatch.setattr(transcode, "rehearse", lambda source, plan, folder, on_reading: plan)
    with pytest.raises(VerificationError, match=r"stream 1 \(subtitle\) has a packet at"):
        upscaled(source, tmp_path / "again.mp4", codec="libx264")


def test_sound_that_begins_elsewhere_fails_the_verification(
    clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sr_video.write.sink import Sink

    complete = Sink.complete

    def late(sink: Sink) -> None:
        complete(sink)
        if sink.memory is None:
            sink.times[1][0][0] -= 100

    monkeypatch.setattr(Sink, "complete", late)
    with pytest.raises(VerificationError, match=r"stream 1 \(audio\) has a packet at"):
        upscaled(clip(sound=True), tmp_path / "out.mkv")


def test_a_stream_that_the_muxer_refuses_late_is_converted_before_the_first_frame(
    clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What no rule knows is found by the rehearsal: FLAC that this build would not verify becomes ALAC."""
    from sr_video.write import verify

    real = verify._check_packets

    def refusing(counts: object, container: object, tracks: list[object], packets: object) -> None:
        if any(getattr(entry, "codec", "") == "flac" for entry in tracks):
            raise verify._fail("a rule that nobody knew")
        real(counts, container, tracks, packets)  # type: ignore[arg-type]

    monkeypatch.setattr(verify, "_check_packets", refusing)
    heard = upscaled(clip(sound=True), tmp_path / "out.mp4", codec="libx264")
    assert any("becomes alac: mp4 does not keep it as it is (a rule that nobody knew)" in note for note in heard.notes)
    assert read_back(tmp_path / "out.mp4").kinds == ["video", "audio"]


def with_track_tags(plain: Path, target: Path, tags: dict[str, str]) -> Path:
    """`plain` with tags of its sound."""
    with av.open(str(plain)) as read, av.open(str(target), "w") as out:
        copies = [out.add_stream_from_template(stream) for stream in read.streams]
        copies[1].metadata.update(tags)
        for packet in read.demux():
            if packet.size:
                packet.stream = copies[packet.stream.index]
                out.mux(packet)
    return target


def test_tags_of_a_track_that_mp4_does_not_keep_are_said_to_be_lost(clip: Clip, tmp_path: Path) -> None:
    source = with_track_tags(clip(sound=True), tmp_path / "in.mkv", {"title": "Commentary", "ARTIST": "somebody"})
    heard = upscaled(source, tmp_path / "out.mp4", codec="libx264")
    assert [note for note in heard.notes if "tags" in note] == ["tags of stream 1 lost: ARTIST: mp4 does not keep them"]
    with av.open(str(tmp_path / "out.mp4")) as made:
        assert made.streams[1].metadata["name"] == "Commentary"


def test_a_track_s_title_too_long_for_mp4_is_said_to_be_lost_and_tears_nothing(clip: Clip, tmp_path: Path) -> None:
    """FFmpeg counts its bytes in 16 bits: the rest of it became other boxes."""
    source = with_track_tags(clip(sound=True), tmp_path / "in.mkv", {"title": "t" * 70_000})
    heard = upscaled(source, tmp_path / "out.mp4", codec="libx264")
    assert any("tags of stream 1 lost: title" in note for note in heard.notes)
    with av.open(str(tmp_path / "out.mp4")) as made:
        assert made.streams[1].metadata.keys() <= {"language", "handler_name", "vendor_id"}


@pytest.mark.parametrize(("language", "ending", "becomes"), [("pt-BR", "mp4", "por"), ("zh-Hans", "mov", "chi")])
def test_a_language_that_loses_its_region_says_so(
    language: str, ending: str, becomes: str, clip: Clip, tmp_path: Path
) -> None:
    source = with_track_tags(clip(sound=True), tmp_path / "in.mkv", {"language": language})
    heard = upscaled(source, tmp_path / f"out.{ending}", codec="libx264")
    assert any(f"the language {language} of stream 1 becomes {becomes}" in note for note in heard.notes)
