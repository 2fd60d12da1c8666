"""`--device N`: this GPU or an error, never another one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from sr_core.errors import BadInput, NotAvailable
from sr_video.read.hwaccel import decoder_on
from srvid import backend_choice
from srvid.backend_choice import choose, open_named
from srvid.recipe import EngineRecipe
from srvid_cli.srbatch import srbatch_command
from srvid_cli.srkit.build import command as build
from srvid_cli.srkit.doctor import command as doctor
from srvid_cli.srvid import srvid_command
from tests.trt.cards import H100, L4, has_gpu

CLIP = Path(__file__).parents[2] / "examples" / "flower.mp4"
CARDS = (L4, replace(H100, index=1))


@pytest.fixture
def two_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    """An L4 and an H100, as far as asking CUDA goes."""
    for where in ("sr_core.backends.cuda", "sr_core.backends.tensorrt", "sr_video.read.hwaccel"):
        monkeypatch.setattr(f"{where}.find_gpus", lambda: CARDS)


@pytest.mark.usefixtures("two_cards")
@pytest.mark.parametrize(("device", "first"), [(None, "tensorrt_rtx"), (0, "tensorrt_rtx"), (1, "tensorrt")])
def test_the_library_is_the_one_made_for_the_card_that_was_named(
    monkeypatch: pytest.MonkeyPatch, device: int | None, first: str
) -> None:
    monkeypatch.setattr(backend_choice, "find_spec", lambda name: name)
    assert next(backend_choice._candidates(device)) == (first, device, "")


@pytest.mark.usefixtures("two_cards")
def test_a_number_that_no_card_has_is_an_error_that_lists_those_there_are() -> None:
    for asked in (lambda: choose(device=2), lambda: open_named("tensorrt_rtx", device=2), lambda: decoder_on("cuda:2")):
        with pytest.raises(NotAvailable, match="there is no GPU 2") as caught:
            asked()
        assert caught.value.hint == "there is: 0 NVIDIA L4, 1 NVIDIA H100"


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_a_backend_that_runs_on_no_gpu_refuses_to_be_sent_to_one(name: str) -> None:
    if has_gpu():
        pytest.skip("this machine has a GPU")
    with pytest.raises(NotAvailable, match="GPU 0") as caught:
        open_named(name, device=0)
    assert "leave device out" in caught.value.hint


def test_the_number_travels_to_the_process_that_opens_the_engine() -> None:
    import pickle

    assert pickle.loads(pickle.dumps(EngineRecipe(device=3))).device == 3


@pytest.mark.parametrize("command", ["srvid", "srbatch"])
def test_naming_a_card_where_there_is_none_never_falls_to_the_cpu(command: str, tmp_path: Path) -> None:
    if has_gpu():
        pytest.skip("this machine has a GPU")
    arguments: dict[str, tuple[Any, list[str]]] = {
        "srvid": (srvid_command, [str(CLIP), str(tmp_path / "out.mkv"), "--end", "0.1", "--no-segments"]),
        "srbatch": (srbatch_command, [str(Path(__file__).parents[2] / "docs/images/sheet.jpg"), str(tmp_path)]),
    }
    function, given = arguments[command]
    result = CliRunner().invoke(function, [*given, "--scale", "2", "--device", "0"])
    said = f"{result.exception} {result.output}"
    assert result.exit_code != 0
    assert "nothing runs on GPU 0 here: tensorrt_rtx: no NVIDIA driver was found" in said
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".mkv", ".jpg", ".png")]


def test_devices_that_no_card_has_are_refused_before_a_worker_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sr_core.backends.cuda.find_gpus", lambda: CARDS)
    result = CliRunner().invoke(srvid_command, [str(CLIP), "out.mkv", "--devices", "0,7"])
    assert isinstance(result.exception, NotAvailable)
    assert result.exception.message == "there is no GPU 7"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--device", "first"], "neither auto nor the number"),
        (["--device", "-1"], "neither auto nor the number"),
        (["--device", "0", "--devices", "0,1"], "choose one"),
        (["--device", "0", "--ray", "auto"], "choose one"),
    ],
)
def test_srvid_explains_what_it_cannot_make_of_device(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(srvid_command, [str(CLIP), "out.mkv", *arguments])
    assert result.exit_code == click.UsageError.exit_code
    assert message in result.output


@pytest.mark.usefixtures("two_cards")
def test_doctor_lists_the_cards_by_number() -> None:
    output = CliRunner().invoke(doctor, [], catch_exceptions=False).output
    assert "  0              NVIDIA L4, sm89, 24 GiB, CUDA 13.0\n" in output
    assert "  1              NVIDIA H100, sm90, 24 GiB, CUDA 13.0\n" in output


def test_a_build_that_needs_no_card_refuses_one(tmp_path: Path) -> None:
    result = CliRunner().invoke(build, ["clear-x2", "--device", "0", "--out", str(tmp_path)])
    assert isinstance(result.exception, BadInput)
    assert "builds without a GPU" in str(result.exception)
