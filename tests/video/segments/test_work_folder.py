"""What lies in OUT.srvid is read back, or told from what a crash or a failing disk has left there."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from random import Random

import pytest

from sr_core.errors import BadInput
from sr_core.file_stamp import FileStamp
from sr_core.records import seal, unseal
from sr_video.segments.cut import Segment
from sr_video.segments.job import Manifest, Record, WorkFolder
from tests.fuzz.mutations import damaged_json

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


@pytest.mark.parametrize("content", [*NOT_OURS, b'{"layout": 3, "stamp": null}', b'{"layout": 3}'])
def test_a_damaged_manifest_is_said_to_be_damaged(folder: WorkFolder, content: bytes) -> None:
    folder.manifest_path.write_bytes(content)
    with pytest.raises(BadInput, match=r"manifest\.json is damaged") as caught:
        folder.read_manifest()
    assert "restart=True" in caught.value.hint


def test_no_mutation_of_a_manifest_or_a_record_is_believed(folder: WorkFolder) -> None:
    """Not even one that is JSON of the right types: each carries a digest of itself."""
    random, kept = Random(9), 0
    for path in (folder.manifest_path, folder.path / "00000.json"):
        written = path.read_bytes()
        for _ in range(500):
            changed = damaged_json(written, random)
            path.write_bytes(changed)
            try:
                found = folder.read_manifest() if path is folder.manifest_path else folder.read_record(0, MANIFEST)
            except BadInput:
                continue
            if found is not None:
                assert found in (MANIFEST, RECORD)
                kept += 1
        path.write_bytes(written)
    assert kept < 100


@pytest.mark.parametrize(
    "change", [{"time_base": "0"}, {"segment_format": "nut\x1b[2J"}, {"segment_format": "../x"}, {"settings": "x"}]
)
def test_a_manifest_that_says_the_impossible_is_damaged_whoever_sealed_it(
    folder: WorkFolder, change: dict[str, object]
) -> None:
    folder.manifest_path.write_bytes(seal(unseal(folder.manifest_path.read_bytes()) | change))
    with pytest.raises(BadInput, match="is damaged"):
        folder.read_manifest()


def test_a_name_of_any_bytes_comes_back(folder: WorkFolder) -> None:
    named = replace(MANIFEST, source="/in\udcff.mkv")
    folder.write_manifest(named)
    assert folder.read_manifest() == named


@pytest.mark.parametrize("content", NOT_OURS)
def test_a_segment_with_a_damaged_record_is_made_again(folder: WorkFolder, content: bytes) -> None:
    (folder.path / "00000.json").write_bytes(content)
    assert folder.read_record(0, MANIFEST) is None


def test_a_manifest_of_another_layout_is_said_to_be_of_another_version(folder: WorkFolder) -> None:
    folder.manifest_path.write_bytes(b'{"layout": 2}')
    with pytest.raises(BadInput, match="another version"):
        folder.read_manifest()
