"""Torch files of other people's networks: a sample of what `benchmarks/model_files.py` runs over all of them."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from sr_core.errors import BadModel
from sr_core.model_spec import ModelSpec, load_model, read_spec, spec_of
from sr_core.testing import random_model
from sr_zoo import torch_export
from sr_zoo.importing import imported_model
from sr_zoo.onnx_run import open_runner, probe_noise
from sr_zoo.torch_export import export
from sr_zoo.torch_files import read_torch_file
from sr_zoo.torch_ops import stable_sorts, written_out

SAME = 2e-4


def span_weights(path: Path) -> Path:
    """A small SPAN: torch.export crashes the interpreter on it."""
    from spandrel.architectures.SPAN import SPAN

    torch.manual_seed(1)
    torch.save(SPAN(num_in_ch=3, num_out_ch=3, feature_channels=16, upscale=2).state_dict(), path)
    return path


def swinir_weights(path: Path) -> Path:
    """A small SwinIR: windows of 8, a mask that is made anew for every size."""
    from spandrel.architectures.SwinIR import SwinIR

    torch.manual_seed(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SwinIR's own, of torch.meshgrid
        return _saved_swinir(path, SwinIR)


def _saved_swinir(path: Path, kind: type[nn.Module]) -> Path:
    network = kind(
        embed_dim=12, depths=[2], num_heads=[2], window_size=8, mlp_ratio=2.0, upscale=2, upsampler="pixelshuffledirect"
    )
    torch.save(network.state_dict(), path)
    return path


def test_a_network_that_crashed_the_exporter_is_imported_with_its_halo(tmp_path: Path) -> None:
    made = imported_model(span_weights(tmp_path / "2x_span.pth"))
    spec = read_spec(made)
    assert (spec.name, spec.scale, spec.halo_px) == ("2x_span", 2, 21)
    network, _ = read_torch_file(tmp_path / "2x_span.pth")
    batch = probe_noise((1, 3, 21, 30))
    with torch.no_grad():
        expected = network.eval()(torch.from_numpy(batch.copy())).numpy()
    assert np.abs(open_runner(load_model(made))(batch) - expected).max() < SAME * np.abs(expected).max()


def test_a_network_of_windows_takes_any_size_and_is_blended(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network, spec = read_torch_file(swinir_weights(tmp_path / "swin.pth"))
    facts = spec_of(export(network, spec))
    assert facts is not None
    assert (facts.scale, facts.smallest, facts.fixed_size, facts.halo_px) == (2, 16, None, None)


class Frozen(nn.Module):
    """Writes its size down while it is traced, as networks with Python arithmetic on shapes do."""

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        height, width = (int(side) for side in picture.shape[2:])
        flat = picture.reshape(1, 3, height * width).contiguous()
        return (flat - flat.mean(2, keepdim=True)).reshape(1, 3, height, width)


def test_a_network_with_a_frozen_size_gets_tiles_of_one_size() -> None:
    spec = spec_of(export(Frozen(), ModelSpec(name="frozen", scale=1, training="imported: Frozen")))
    assert spec is not None
    assert (spec.fixed_size, spec.halo_px) == ((128, 128), None)


class Mirrored(nn.Module):
    """Repeats 32 pixels mirrored below and beside the picture; zeros where it has no 33, as GRL does."""

    def __init__(self) -> None:
        super().__init__()
        self.blur = nn.Conv2d(3, 3, 65, padding=32)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        height, width = picture.shape[2:]
        try:
            wide = nn.functional.pad(picture, (0, 32, 0, 32), "reflect")
        except RuntimeError:
            wide = nn.functional.pad(picture, (0, 32, 0, 32))
        made: torch.Tensor = self.blur(wide)[:, :, :height, :width]
        return made


def test_a_network_that_mirrors_its_border_is_fed_no_picture_smaller_than_that() -> None:
    torch.manual_seed(3)
    spec = spec_of(export(Mirrored(), ModelSpec(name="mirrored", scale=1, training="imported: Mirrored")))
    assert spec is not None
    assert (spec.smallest, spec.fixed_size) == (72, None)


def test_a_convolution_that_is_written_over_its_input_is_tiled_exactly(tmp_path: Path) -> None:
    """PLKSR's: in 3 pixels wide, two blocks of 3, 17 and 3, out 3."""
    from spandrel.architectures.PLKSR import PLKSR

    torch.manual_seed(1)
    torch.save(PLKSR(dim=16, n_blocks=2, upscaling_factor=2).state_dict(), tmp_path / "plksr.pth")
    network, spec = read_torch_file(tmp_path / "plksr.pth")
    made = export(network, spec)
    facts = spec_of(made)
    assert facts is not None
    assert facts.halo_px == 1 + 2 * (1 + 8 + 1) + 1
    assert "ScatterND" not in {node.op_type for node in made.graph.node}


class Random(nn.Module):
    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        return picture + torch.rand_like(picture) * 0.3


def test_a_network_that_no_way_exports_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_export, "WAYS", ("traced", "traced fixed"))  # torch.export takes a minute to fail
    with pytest.raises(BadModel, match="Random cannot be brought to ONNX: ") as refusal:
        export(Random(), ModelSpec(name="random", scale=1, training="imported: Random"))
    assert "\n" not in refusal.value.message
    assert "ONNX" in refusal.value.hint


def test_the_first_reason_is_told_and_not_the_pages_of_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(network: nn.Module, spec: ModelSpec, way: str) -> onnx.ModelProto:
        raise BadModel("pages\n\nof advice") if way == "exported" else RuntimeError(f"no {way}")

    monkeypatch.setattr(torch_export, "_write", fail)
    with pytest.raises(BadModel) as refusal:
        export(Random(), ModelSpec(name="random", scale=1, training="imported: Random"))
    assert refusal.value.message == "Random cannot be brought to ONNX: no traced"


def test_transforms_and_sorts_are_written_out_as_the_same_functions() -> None:
    torch.manual_seed(2)
    patches, kernel = torch.rand(2, 3, 8, 8), torch.rand(3, 8, 5)
    numbers = torch.randint(0, 4, (2, 50))
    spectrum = torch.fft.rfft2(patches) * kernel * torch.fft.rfft2(patches)
    expected, order = torch.fft.irfft2(spectrum, s=(8, 8)), torch.sort(numbers, dim=-1, stable=True)
    with written_out():
        spectrum = torch.fft.rfft2(patches) * kernel * torch.fft.rfft2(patches)
        made, (values, indices) = torch.fft.irfft2(spectrum, s=(8, 8)), torch.sort(numbers, dim=-1)
    assert torch.allclose(made, expected, atol=1e-4)
    assert torch.equal(values, order.values)
    assert torch.equal(indices, order.indices)


def test_a_network_whose_windows_spandrel_miscounts_runs_on_their_multiples(tmp_path: Path) -> None:
    """spandrel says 16 of every DRCT; one with windows of 12 refuses 48x80."""
    from spandrel.architectures.DRCT import DRCT

    torch.manual_seed(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # DRCT's own, of torch.meshgrid
        network = DRCT(
            embed_dim=24, depths=(6,), num_heads=(2,), img_size=48, window_size=12, upscale=2,
            upsampler="pixelshuffle", gc=8,
        )  # fmt: skip
        torch.save(network.state_dict(), tmp_path / "drct.pth")
        found, spec = read_torch_file(tmp_path / "drct.pth")
        facts = spec_of(export(found, spec))
    assert spec.size_multiple == 16
    assert facts is not None
    assert (facts.scale, facts.size_multiple, facts.fixed_size) == (2, 12, None)


def test_pools_to_a_share_of_the_picture_and_folded_pixels_are_tiled_exactly(tmp_path: Path) -> None:
    """SAFMN BCIE pools to halves, quarters and eighths of a picture that it has folded once."""
    from spandrel.architectures.SAFMNBCIE import SAFMNBCIE

    torch.manual_seed(1)
    torch.save(SAFMNBCIE(dim=16, n_blocks=1, num_layers=1).state_dict(), tmp_path / "safmn.pth")
    facts = spec_of(export(*read_torch_file(tmp_path / "safmn.pth")))
    assert facts is not None
    assert (facts.fixed_size, facts.size_multiple) == (None, 16)
    assert facts.halo_px is not None


def test_a_pool_to_a_size_is_written_out_where_it_divides_the_picture() -> None:
    features = torch.rand(1, 2, 24, 36, generator=torch.manual_seed(3))
    pool = nn.functional.adaptive_max_pool2d
    expected = {size: pool(features, size) for size in ((3, 9), (12, 12), (5, 7), (1, 1))}
    with written_out():
        for size, pooled in expected.items():
            assert torch.equal(nn.functional.adaptive_max_pool2d(features, size), pooled)
    assert nn.functional.adaptive_max_pool2d is pool


def test_equals_are_sorted_in_their_order_where_torch_leaves_it_open() -> None:
    keys = torch.randint(0, 4, (1, 4000), generator=torch.manual_seed(5))
    sort = torch.sort
    with stable_sorts():
        order = torch.sort(keys, dim=-1, stable=False).indices[0]
    assert torch.sort is sort
    pairs = list(zip(keys[0, order].tolist(), order.tolist(), strict=True))
    assert pairs == sorted(pairs)


class Sorted(nn.Module):
    """Mixes each pixel with the one that follows it among those of its category, as ATD's groups do."""

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        height, width = picture.shape[2:]
        flat = picture.reshape(1, 3, height * width)
        order = torch.sort((flat[:, 0] * 4).long(), dim=-1, stable=False)[1]
        mixed = torch.gather(flat, 2, order[:, None].expand(1, 3, height * width))
        return (mixed + mixed.roll(1, 2)).reshape(1, 3, height, width)


def test_a_network_that_sorts_pixels_is_compared_in_the_order_it_is_exported_in() -> None:
    facts = spec_of(export(Sorted(), ModelSpec(name="sorted", scale=1, training="imported: Sorted")))
    assert facts is not None
    assert facts.fixed_size is None


def test_behind_a_way_that_crashed_the_next_one_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that kills itself in the first way, and writes a model in the next."""
    onnx.save(random_model(2, seed=9), tmp_path / "made.onnx")
    fake = tmp_path / "python"
    fake.write_text(
        f"#!{sys.executable}\n"
        "import os, shutil, signal, sys\n"
        "way = sys.argv[8] if len(sys.argv) > 8 else 'traced'\n"
        "print('way:', way, file=sys.stderr, flush=True)\n"
        "if way == 'traced':\n    os.kill(os.getpid(), signal.SIGSEGV)\n"
        f"shutil.copy({str(tmp_path / 'made.onnx')!r}, sys.argv[6])\n"
    )
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    (tmp_path / "net.pth").write_bytes(b"PK made up")
    assert read_spec(imported_model(tmp_path / "net.pth")).scale == 2


def test_a_program_is_refused_without_the_advice_to_run_it(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated, and what people have
        torch.jit.save(torch.jit.trace(nn.Conv2d(3, 3, 1), torch.rand(1, 3, 4, 4)), tmp_path / "net.pt")
    with pytest.raises(BadModel, match="TorchScript program, not weights") as refusal:
        read_torch_file(tmp_path / "net.pt")
    assert "weights_only" not in str(refusal.value) + refusal.value.hint
