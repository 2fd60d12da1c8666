"""Building ahead of time: the very engines that srvid will ask for, and tiles that fit a budget."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from sr_core.backend import ComposedGraph
from sr_core.backends import cuda
from sr_core.backends.tensorrt_library import load_library
from sr_core.color import ColorSpec
from sr_core.engine_key import GpuFacts
from sr_core.errors import BadInput, Cancelled, EngineError, NotAvailable, SrError
from sr_core.graph.compose import compose
from sr_core.tiles.tiling import plan_tiles
from sr_core.upscaler import Upscaler
from sr_zoo.models import shipped_names
from srvid_cli.srkit.build import command as build
from srvid_cli.srkit.engines import command as engines
from tests.trt.cards import L4
from tests.trt.networks import NV12, network
from trt_build.ahead import FORMATS, AheadBackend, format_from_name
from trt_build.ensure import ensure_engine
from trt_build.plan_tile import RESERVED_BYTES, largest_tile
from trt_build.store import EngineStore

MODEL = shipped_names()[0]


def test_what_was_built_ahead_is_what_the_upscaler_asks_for_later(tmp_path: Path) -> None:
    model, spec = network()
    store = EngineStore(tmp_path)
    ahead = AheadBackend(load_library("tensorrt_rtx"), targets=["sm89"], store=store)
    with Upscaler(model, spec, ahead) as upscaler:
        upscaler.precision_for(NV12, ColorSpec(), 1280, 720)

    class Asking:
        """Stands where the backend will stand on the machine with the GPU."""

        name, device, version = "tensorrt_rtx", "L4", "-"
        contexts, on_cpu, plane_device = AheadBackend.contexts, AheadBackend.on_cpu, None
        memory_bytes = L4.memory_bytes

        def open(self, graph, *, precision="auto", progress=None):  # type: ignore[no-untyped-def]
            def building(phase: str, share: float) -> None:
                raise Cancelled("it had to be built again")

            engine = ensure_engine(
                graph, library="tensorrt_rtx", gpu=L4, precision=precision, progress=building, store=store
            )
            raise EngineError(f"found {engine.facts.width}x{engine.facts.height}")

    with Upscaler(model, spec, Asking()) as upscaler, pytest.raises(EngineError, match=r"found \d+x\d+"):
        upscaler.precision_for(NV12, ColorSpec(), 1280, 720)


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080), (3840, 2160)])
def test_tiles_on_a_card_read_little_more_than_the_frame(tmp_path: Path, size: tuple[int, int]) -> None:
    model, spec = network()
    store = EngineStore(tmp_path)
    backend = AheadBackend(load_library("tensorrt_rtx"), targets=["sm89"], store=store)
    backend.memory_bytes = 1 << 20  # no room for a whole frame
    with Upscaler(model, spec, backend) as upscaler:
        upscaler.precision_for(NV12, ColorSpec(), *size)
        halo = upscaler.halo_px
    assert halo is not None
    (engine,) = backend.built
    tile = (engine.facts.width, engine.facts.height)
    plan = plan_tiles(*size, read=tile, halo=halo, align=2)
    assert max(tile) <= 512
    assert plan.pixels_read < 1.12 * size[0] * size[1]  # squares of 512 read 1.5 times a 1080p frame


def test_an_engine_built_ahead_does_not_pretend_to_run(tmp_path: Path) -> None:
    model, spec = network()
    backend = AheadBackend(load_library("tensorrt_rtx"), targets=["sm89"], store=EngineStore(tmp_path))
    session = backend.open(compose(model, spec, NV12, ColorSpec(), width=64, height=64))
    with pytest.raises(EngineError, match="ahead of time"):
        session.run([], lambda outputs: None)


def test_the_planner_fills_the_budget_and_stays_inside_it() -> None:
    model, spec = network()
    native = load_library("tensorrt_rtx")

    def compose_at(width: int, height: int):  # type: ignore[no-untyped-def]
        return compose(model, spec, NV12, ColorSpec(), width=width, height=height)

    small, large = (
        largest_tile(native, compose_at, budget_bytes=RESERVED_BYTES + (share << 20), target="sm89")
        for share in (40, 160)
    )
    assert small.needed_bytes <= RESERVED_BYTES + (40 << 20)
    assert large.needed_bytes <= RESERVED_BYTES + (160 << 20)
    for choice, share in ((small, 40), (large, 160)):  # not a timid answer
        assert choice.needed_bytes > 0.95 * (RESERVED_BYTES + (share << 20))
    assert large.side_px > small.side_px
    assert large.side_px % 2 == 0


def test_a_budget_that_nothing_fits_is_refused_with_the_least_that_would() -> None:
    model, spec = network()
    with pytest.raises(BadInput, match="no tile fits into 100 MiB: 64x64 needs"):
        largest_tile(
            load_library("tensorrt_rtx"),
            lambda width, height: compose(model, spec, NV12, ColorSpec(), width=width, height=height),
            budget_bytes=100 << 20,
            target="sm89",
        )


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_name_means_what_ffmpeg_means(name: str) -> None:
    import av

    fmt = format_from_name(name)
    theirs = av.VideoFormat({"p010": "p010le"}.get(name, name if fmt.depth == 8 else f"{name}le"), 64, 64)
    assert fmt.depth == theirs.components[0].bits
    assert len(fmt.plane_names) == len({component.plane for component in theirs.components})


def test_an_unknown_format_lists_the_known_ones() -> None:
    with pytest.raises(BadInput, match="'yuv410p'") as caught:
        format_from_name("yuv410p")
    assert "nv12" in caught.value.hint


# ---- the commands


def test_srkit_builds_lists_explains_and_prunes(tmp_path: Path) -> None:
    runner = CliRunner()
    arguments = [MODEL, "--target", "sm89,sm120", "--format", "nv12", "--tile", "64x64", "--out", str(tmp_path)]
    first = runner.invoke(build, arguments, catch_exceptions=False)
    assert first.output.count("dB from FP32") == 2
    assert "sm120" in first.output
    files = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.engine")}
    assert len(files) == 2
    runner.invoke(build, arguments, catch_exceptions=False)
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.engine")} == files

    listed = runner.invoke(engines, ["--dir", str(tmp_path), "list"], catch_exceptions=False).output
    assert listed.count("tile 64x64, fp16+fp32") == 2
    assert "2 engines" in listed
    explained = runner.invoke(engines, ["--dir", str(tmp_path), "why"], catch_exceptions=False).output
    assert "tensorrt_rtx 1.7" in explained
    assert explained.count("in tiles of 64x64") == 2

    next(tmp_path.glob("*.json")).unlink()
    kept = runner.invoke(engines, ["--dir", str(tmp_path), "prune", "--dry-run"], catch_exceptions=False).output
    assert "1 engine," in kept
    assert len(list(tmp_path.glob("*.engine"))) == 2
    runner.invoke(engines, ["--dir", str(tmp_path), "prune"], catch_exceptions=False)
    assert len(list(tmp_path.glob("*.engine"))) == 1


def test_srkit_build_chooses_a_tile_for_a_budget(tmp_path: Path) -> None:
    arguments = [MODEL, "--target", "sm89", "--vram", "600M", "--out", str(tmp_path)]
    output = CliRunner().invoke(build, arguments, catch_exceptions=False).output
    assert "largest tile in 600 MiB: use srvid --tile " in output


@pytest.mark.parametrize(
    ("memory", "card", "said", "is_whole"),
    [
        ([], None, "for a card of 8 GiB: taken for granted", True),
        ([], replace(L4, memory_bytes=1 << 30), "for a card of 1 GiB: NVIDIA L4", False),
        (["--memory", "1G"], L4, "for a card of 1 GiB: --memory", False),
    ],
)
def test_the_cards_memory_decides_the_tile_and_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: list[str], card: GpuFacts | None, said: str, is_whole: bool
) -> None:
    """A frame is one tile where it takes a third of the card's memory at most."""

    def find() -> list[GpuFacts]:
        if card is None:
            raise NotAvailable("no card")
        return [card]

    opened: list[tuple[int, int]] = []

    def opens(self: AheadBackend, graph: ComposedGraph, **_: object) -> Any:
        opened.append((graph.width, graph.height))
        return SimpleNamespace(precision="fp16+fp32", contexts=3, close=lambda: None)

    monkeypatch.setattr(cuda, "find_gpus", find)
    monkeypatch.setattr(AheadBackend, "open", opens)
    arguments = ["clear-x4", "--target", "sm89", "--frame", "1280x720", "--out", str(tmp_path), *memory]
    assert said in CliRunner().invoke(build, arguments, catch_exceptions=False).output
    assert (opened[0] == (1280, 720)) == is_whole
    assert is_whole or max(opened[0]) <= 512


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "sm90"], "cannot build for 'sm90'"),
        (["--format", "yuv410p"], "unknown pixel format"),
        (["--tile", "64x64", "--vram", "6G"], "--tile and --vram each choose the tile"),
        (["--vram", "6G", "--memory", "6G"], "--vram and --memory each choose"),
        (["--library", "tensorrt"], "tensorrt"),
    ],
)
def test_srkit_build_refuses_what_it_cannot_do(tmp_path: Path, arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(build, [MODEL, "--out", str(tmp_path), *arguments])
    assert isinstance(result.exception, SrError)
    assert message in str(result.exception)
    assert not list(tmp_path.glob("*.engine"))


@pytest.mark.parametrize("arguments", [["--tile", "64"], ["--tile", "0x64"], ["--vram", "6"], ["--vram", "-1G"]])
def test_srkit_build_explains_a_malformed_size(arguments: list[str]) -> None:
    result = CliRunner().invoke(build, [MODEL, *arguments])
    assert result.exit_code == 2
    assert "; write" in result.output
