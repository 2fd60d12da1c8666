"""srbatch from outside: a real process, real files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sr_image.enlarge import EnlargeOptions, EnlargePlan, plan_enlarging
from sr_image.formats.reader import ImageFile
from srvid_cli.batch.collect import collect
from srvid_cli.batch.plan import Naming, plan_batch
from tests.batch.conftest import Run, command, environment, picture, tree


def test_a_folder_comes_out_twice_as_large_in_the_same_structure(srbatch: Run, tmp_path: Path) -> None:
    names = ["in/a.png", "in/deep/er/b.jpg", "in/deep/ünï cödé 図.webp", "in/c.TIF"]
    for index, name in enumerate(names):
        picture(tmp_path / name, seed=index)
    (tmp_path / "in/notes.txt").write_text("not an image")
    ended = srbatch("in", "out")
    assert ended.code == 0, ended.err
    assert tree(tmp_path / "out") == sorted(name.removeprefix("in/") for name in names)
    assert "4 done" in ended.err
    assert "1 other file ignored" in ended.err
    with Image.open(tmp_path / "out/a.png") as large, Image.open(tmp_path / "in/a.png") as small:
        np.testing.assert_array_equal(np.asarray(large), np.asarray(small).repeat(2, 0).repeat(2, 1))


def test_one_bad_file_never_stops_the_rest(srbatch: Run, tmp_path: Path) -> None:
    for index in range(4):
        picture(tmp_path / f"in/{index}.png", seed=index)
    good = (tmp_path / "in/1.png").read_bytes()
    (tmp_path / "in/1.png").write_bytes(good[: len(good) // 2])
    (tmp_path / "in/2.png").write_bytes(b"")
    ended = srbatch("in", "out")
    assert ended.code == 1
    assert tree(tmp_path / "out") == ["0.png", "3.png"]
    last = ended.err.strip().splitlines()
    assert "srbatch: 2 of 4 images failed" in last
    assert any("1.png" in line for line in last[last.index("srbatch: 2 of 4 images failed") :])
    assert any("0 bytes" in line for line in last)


def test_a_second_run_does_nothing_and_opens_no_engine(srbatch: Run, tmp_path: Path) -> None:
    picture(tmp_path / "in/a.png")
    assert srbatch("in", "out").code == 0
    before = (tmp_path / "out/a.png").stat().st_mtime_ns
    ended = srbatch("in", "out")
    assert ended.code == 0
    assert "0 done, 1 up to date" in ended.err
    assert (tmp_path / "out/a.png").stat().st_mtime_ns == before


def test_content_decides_what_is_done_and_not_the_date(srbatch: Run, tmp_path: Path) -> None:
    picture(tmp_path / "in/a.png")
    picture(tmp_path / "in/b.png", seed=1)
    srbatch("in", "out")
    os.utime(tmp_path / "in/a.png", (1, 1))
    picture(tmp_path / "in/b.png", seed=2)
    ended = srbatch("in", "out", "--overwrite")
    assert "1 done, 1 up to date" in ended.err


def test_other_settings_are_other_work(srbatch: Run, tmp_path: Path) -> None:
    picture(tmp_path / "in/a.jpg")
    srbatch("in", "out")
    refused = srbatch("in", "out", "--quality", "50")
    assert refused.code == 1
    assert "--overwrite" in refused.err
    assert "1 done" in srbatch("in", "out", "--quality", "50", "--overwrite").err


def test_an_output_somebody_else_wrote_is_not_replaced(srbatch: Run, tmp_path: Path) -> None:
    picture(tmp_path / "in/a.png")
    picture(tmp_path / "out/a.png", seed=9)
    theirs = (tmp_path / "out/a.png").read_bytes()
    ended = srbatch("in", "out")
    assert ended.code == 1
    assert "is there already" in ended.err
    assert (tmp_path / "out/a.png").read_bytes() == theirs
    assert srbatch("in", "out", "--overwrite").code == 0
    assert (tmp_path / "out/a.png").read_bytes() != theirs


def test_a_damaged_output_is_made_again(srbatch: Run, tmp_path: Path) -> None:
    picture(tmp_path / "in/a.png")
    srbatch("in", "out")
    good = (tmp_path / "out/a.png").read_bytes()
    (tmp_path / "out/a.png").write_bytes(good[:-20])
    assert srbatch("in", "out", "--overwrite").code == 0
    assert (tmp_path / "out/a.png").read_bytes() == good


def test_kill_9_leaves_no_partial_file_and_the_next_run_finishes(srbatch: Run, tmp_path: Path) -> None:
    for index in range(12):
        picture(tmp_path / f"in/{index:02}.png", (500, 400), seed=index)
    process = subprocess.Popen(
        command("in", "out", "--jobs", "2"), cwd=tmp_path, env=environment(), stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 600
    while len(list((tmp_path / "out").glob("*.png"))) < 3:
        assert process.poll() is None, "it finished before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for path in (tmp_path / "out").glob("*.png"):
        with Image.open(path) as image:
            image.load()
    done_before = len(list((tmp_path / "out").glob("*.png")))
    assert done_before < 12
    ended = srbatch("in", "out")
    assert ended.code == 0, ended.err
    assert tree(tmp_path / "out") == [f"{index:02}.png" for index in range(12)]
    assert " 0 up to date" not in ended.err


def test_ctrl_c_ends_with_130_and_no_temporary_files(tmp_path: Path) -> None:
    for index in range(12):
        picture(tmp_path / f"in/{index:02}.png", (500, 400), seed=index)
    process = subprocess.Popen(command("in", "out"), cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 600
    while not list((tmp_path / "out").glob("*.png")):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=600)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert not [name for name in tree(tmp_path / "out") if not name.endswith(".png") or name.startswith(".")]


def test_a_folder_without_images_is_an_error(srbatch: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    ended = srbatch("in", "out")
    assert ended.code == 1
    assert "no images" in ended.err


def test_a_dry_run_says_sizes_and_does_nothing(srbatch: Run, tmp_path: Path) -> None:
    picture(tmp_path / "in/a.png")
    ended = srbatch("in", "out", "--dry-run", "--max-size", "100", "--format", "webp", "--suffix", "_big")
    assert ended.code == 0
    assert "in/a.png → out/a_big.webp  24x16 → 100x67" in ended.out
    assert not (tmp_path / "out").exists()


def test_a_dry_run_fails_where_the_real_one_would(srbatch: Run, tmp_path: Path) -> None:
    picture(tmp_path / "in/a.png")
    (tmp_path / "broken.onnx").write_bytes(b"no network")
    endings = [srbatch("in", "out", "--model", "broken.onnx", *dry) for dry in ([], ["--dry-run"])]
    assert [ended.code for ended in endings] == [1, 1]
    assert endings[0].err == endings[1].err
    assert "broken.onnx" in endings[0].err


def test_json_tells_every_file_and_the_sum(srbatch: Run, tmp_path: Path) -> None:
    picture(tmp_path / "in/a.png")
    (tmp_path / "in/b.png").write_bytes(b"broken")
    ended = srbatch("in", "out", "--json")
    assert ended.code == 1
    by_event = {event["event"]: event for event in ended.events}
    assert by_event["done"]["target"] == "out/a.png"
    assert by_event["failed"]["source"] == "in/b.png"
    assert by_event["summary"]["done"] == 1
    assert by_event["summary"]["failed"] == 1


def test_a_wrong_ending_gets_the_right_one(srbatch: Run, tmp_path: Path) -> None:
    picture(tmp_path / "really.png")
    (tmp_path / "in").mkdir()
    (tmp_path / "really.png").rename(tmp_path / "in/a.jpg")
    assert srbatch("in", "out").code == 0
    assert tree(tmp_path / "out") == ["a.png"]


def test_two_runs_cannot_write_into_one_folder(srbatch: Run, tmp_path: Path) -> None:
    from sr_core.storage import file_lock

    picture(tmp_path / "in/a.png")
    with file_lock(tmp_path / "out/.srbatch.lock"):
        ended = srbatch("in", "out")
    assert ended.code == 1
    assert "locked" in ended.err


def test_an_unwritable_out_is_one_clear_error(srbatch: Run, tmp_path: Path) -> None:
    picture(tmp_path / "in/a.png")
    (tmp_path / "file").write_bytes(b"")
    ended = srbatch("in", "file/out")
    assert ended.code == 1
    assert ended.err.startswith("srbatch: ")
    assert "Traceback" not in ended.err


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0, reason="mounting a small disk needs root on Linux"
)
def test_a_full_disk_stops_the_batch_and_leaves_no_partial_file(srbatch: Run, tmp_path: Path) -> None:
    for index in range(6):
        picture(tmp_path / f"in/{index}.png", (300, 200), seed=index)
    (tmp_path / "out").mkdir()
    script = (
        'mount -t tmpfs -o size=1600k none out && "$@"; code=$?; '
        "find out -type f -name '*.p*' >found; df --output=avail out | tail -1 >>found; exit $code"
    )
    ended = srbatch("in", "out", "--jobs", "1", prefix=("unshare", "-m", "sh", "-c", script, "sh"))
    found = (tmp_path / "found").read_text().split()
    assert ended.code == 1
    assert "free some space" in ended.err
    assert "left: " in ended.err
    assert 1 <= len(found) - 1 < 6
    assert not [name for name in found if name.endswith(".part")]


def test_wrong_usage_is_code_2(srbatch: Run) -> None:
    assert srbatch("in").code == 2
    assert srbatch("in", "out", "--scale", "17", "--model", "nearest").code == 2


def test_help_has_examples_and_loads_nothing_heavy(srbatch: Run) -> None:
    probe = (
        "import sys, srvid_cli.srbatch as s; s.srbatch_command.main(['--help'], standalone_mode=False);"
        "print(sorted({'numpy', 'PIL', 'OpenImageIO', 'openvino', 'onnx'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, env=environment(), check=True)
    assert "srbatch photos/ upscaled/" in done.stdout
    assert done.stdout.rstrip().endswith("[]")


def test_a_shipped_model_gives_the_pixels_of_the_python_api(srbatch: Run, tmp_path: Path) -> None:
    import srvid

    picture(tmp_path / "in/a.png")
    picture(tmp_path / "in/b.jpg", (37, 51))
    ended = srbatch("in", "out", "--model", "clear", "--scale", "2", "--backend", "openvino", "--tile", "64")
    assert ended.code == 0, ended.err
    with Image.open(tmp_path / "out/b.jpg") as image:
        assert image.size == (74, 102)
    with (
        Image.open(tmp_path / "in/a.png") as small,
        Image.open(tmp_path / "out/a.png") as large,
        srvid.open_upscaler("clear", scale=2, backend="openvino", tile=64, shared_tiles=True) as upscaler,
    ):
        np.testing.assert_array_equal(np.asarray(large), upscaler.image(np.asarray(small)))


def test_a_header_that_breaks_its_reader_costs_one_file_and_not_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(tmp_path / "in/a.png", (5, 5))
    picture(tmp_path / "in/b.png")

    def planned(image: ImageFile, scale: int, options: EnlargeOptions) -> EnlargePlan:
        if image.header.width == 5:
            raise ZeroDivisionError("division by zero")
        return plan_enlarging(image, scale, options)

    monkeypatch.setattr("srvid_cli.batch.plan.plan_enlarging", planned)
    plan = plan_batch(collect([str(tmp_path / "in")], tmp_path / "out"), tmp_path / "out", EnlargeOptions(), Naming())
    assert [job.source.name for job in plan.jobs] == ["b.png"]
    assert "ZeroDivisionError" in str(plan.refused[0].error)


@pytest.mark.parametrize("option", [[], ["--dry-run"]])
def test_a_list_of_names_may_hold_any_bytes(option: list[str], tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.png")).write_bytes(picture(tmp_path / "a.png").read_bytes())
    ended = subprocess.run(
        command("-", "out", *option), input=b"caf\xe9.png\n", capture_output=True, cwd=tmp_path, timeout=300,
        env={**environment(), "PYTHONIOENCODING": "utf-8:strict"},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "out" / os.fsdecode(b"caf\xe9.png")).exists() == (not option)
