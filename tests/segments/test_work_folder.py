"""What lies in OUT.srvid is read back, or told from what a crash or a failing disk has left there."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from sr_core.errors import BadInput
from sr_core.file_stamp import FileStamp
from sr_core.segments.cut import Segment
from sr_core.segments.job import Manifest, Record, WorkFolder

NOT_OURS = [b"\0" * 11, b"\0" * 12, b"\xff\xfe\xfd", b"", b"null", b"[]", b'"text"', b"7", b"{}"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WorkFolder:
    """The folder of a job with one segment that is done."""
    monkeypatch.setenv("SRVID_CACHE", str(tmp_path / "cache"))
    job = WorkFolder(tmp_path / "out.mkv.srvid")
    job.path.mkdir()
    job.write_manifest(MANIFEST)
    job.segment_path(0, MANIFEST).write_bytes(b"four")
    job.write_record(RECORD)
    return job


MANIFEST = Manifest(
    source="/in.mkv",
    target="/out.mkv",
    stamp=FileStamp(bytes=1, mtime_ns=2),
    digest="d",
    settings={"scale": "2"},
    versions={"srvid": "0"},
    engine={"model": "nearest"},
    encoder_threads=1,
    segment_format="nut",
    time_base=Fraction(1, 90000),
    segments=(Segment(number=0, first_ticks=None, end_ticks=3600, seek_ticks=(0,), frames=1),),
)
RECORD = Record(
    number=0, key=MANIFEST.key, ticks=(0,), durations=(3600,), reorder=0, bytes=4, digest="", damage="", retimed=0
)


def test_a_manifest_and_a_record_are_read_as_they_were_written(folder: WorkFolder) -> None:
    assert folder.read_manifest() == MANIFEST
    assert folder.read_record(0, MANIFEST) == RECORD


@pytest.mark.parametrize("content", [*NOT_OURS, b'{"layout": 1, "stamp": null}', b'{"layout": 1}'])
def test_a_damaged_manifest_is_said_to_be_damaged(folder: WorkFolder, content: bytes) -> None:
    folder.manifest_path.write_bytes(content)
    with pytest.raises(BadInput, match=r"manifest\.json is damaged") as caught:
        folder.read_manifest()
    assert "--restart" in caught.value.hint


@pytest.mark.parametrize("content", NOT_OURS)
def test_a_segment_with_a_damaged_record_is_made_again(folder: WorkFolder, content: bytes) -> None:
    (folder.path / "00000.json").write_bytes(content)
    assert folder.read_record(0, MANIFEST) is None


def test_a_manifest_of_another_layout_is_said_to_be_of_another_version(folder: WorkFolder) -> None:
    folder.manifest_path.write_bytes(b'{"layout": 2}')
    with pytest.raises(BadInput, match="another version"):
        folder.read_manifest()
