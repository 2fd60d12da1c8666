"""Measure models by the protocol of the papers.

    HR ─ crop to the scale ─ MATLAB bicubic, 8 bit ─ LR ─ model, FP32 ─ 8 bit ─ SR ─┐
     └────────────────────────────────────────────────────────────────────────── PSNR, SSIM on Y and RGB

Y is BT.601 studio swing, not rounded; `scale` pixels are cropped from each border. A luma model is given the
luma of LR; its RGB is that luma with bicubic chroma, as SRCNN's authors do. The row 'bicubic' follows SRCNN's
demo code, the source of everyone's bicubic figures: Y rounded first, no rounding between the two resizes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sr_core.errors import BadModel
from sr_core.graph.ensemble import self_ensembled
from sr_core.model_spec import ModelSpec, load_model, read_spec
from sr_train.benchmark_sets import SETS, TestPair, find_set, read_pairs
from sr_train.imresize import Image8, imresize, imresize_float
from sr_train.metrics import gmsd, lr_consistency, luma_from_rgb, psnr, ssim
from sr_train.niqe import niqe
from sr_zoo.cost import macs_per_output_pixel
from sr_zoo.onnx_run import Runner, open_runner

BICUBIC = "bicubic"  # the one "model" that needs no file


@dataclass(frozen=True, kw_only=True)
class Score:
    """One image."""

    image: str
    psnr_y: float
    ssim_y: float
    psnr_rgb: float
    ssim_rgb: float
    gmsd: float
    lr_consistency: float
    niqe: float


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One model on one set; `training` is the model's own account of how it was made."""

    model: str
    scale: int
    test_set: str
    macs_per_pixel: float
    training: str
    scores: tuple[Score, ...]

    def mean(self, measure: str) -> float:
        """Mean over the images of one of Score's numbers."""
        return float(np.mean([getattr(score, measure) for score in self.scores]))


def evaluate(
    model: Path | str,
    *,
    sets: Sequence[str],
    data_root: Path,
    scale: int | None = None,
    self_ensemble: bool = False,
    keep: Callable[[str, TestPair, Image8], None] | None = None,
) -> list[Evaluation]:
    """Measure one model file (or 'bicubic' at `scale`) on each of `sets`.

    Args:
        self_ensemble: average the eight flips and turns (EDSR §3.4): better, eight times slower.
        keep: called with (set, pair, output) for each image, e.g. to save crops.

    Raises:
        BadInput: unknown set, or no images. BadModel: not one of our model files.
    """
    if isinstance(model, str):
        if model != BICUBIC or scale is None:
            raise BadModel(f"{model!r} is no model file", hint="give a path, or 'bicubic' with a scale")
        spec, upscale, macs = ModelSpec(name=BICUBIC, scale=scale), _bicubic_upscaler(scale), 0.0
    else:
        spec = read_spec(model)
        proto = self_ensembled(load_model(model)) if self_ensemble else load_model(model)
        macs = macs_per_output_pixel(proto, spec)
        upscale = _model_upscaler(spec, open_runner(proto))
    results = []
    for name in sets:
        scores = []
        for pair in read_pairs(find_set(name, data_root), spec.scale):
            made, luma = upscale(pair)
            if keep is not None:
                keep(name, pair, made)
            scores.append(_score(pair, made, luma, spec))
        results.append(
            Evaluation(
                model=spec.name,
                scale=spec.scale,
                test_set=name.lower() if name.lower() in SETS else name,
                macs_per_pixel=macs,
                training=spec.training,
                scores=tuple(scores),
            )
        )
    return results


Upscaled = tuple[Image8, NDArray[np.float64]]  # RGB image; luma to measure


def _model_upscaler(spec: ModelSpec, run: Runner) -> Callable[[TestPair], Upscaled]:

    def on_rgb(pair: TestPair) -> Upscaled:
        batch = (pair.low.transpose(2, 0, 1)[None] / 255).astype(np.float32)
        made = _codes(run(batch)[0].transpose(1, 2, 0) * 255)
        return made, (made[..., 0].astype(np.float64) if pair.grey else luma_from_rgb(made))

    def on_luma(pair: TestPair) -> Upscaled:
        luma = pair.low[..., 0].astype(np.float64) if pair.grey else luma_from_rgb(pair.low)
        made = _codes(run((luma / 255)[None, None].astype(np.float32))[0, 0] * 255)
        return _with_luma(pair, made, spec.scale), made.astype(np.float64)

    return on_rgb if spec.color_space == "rgb" else on_luma


def _bicubic_upscaler(scale: int) -> Callable[[TestPair], Upscaled]:
    def upscale(pair: TestPair) -> Upscaled:
        exact = pair.high[..., 0] if pair.grey else luma_from_rgb(pair.high)
        shrunk = imresize_float(_codes(exact).astype(np.float64), 1 / scale)
        return imresize(pair.low, scale), _codes(imresize_float(shrunk, scale)).astype(np.float64)

    return upscale


def _with_luma(pair: TestPair, luma: Image8, scale: int) -> Image8:
    """The bicubic RGB enlargement with its luma replaced: the same difference added to R, G and B."""
    if pair.grey:
        return np.repeat(luma[..., None], 3, axis=2)
    enlarged = imresize(pair.low, scale)
    correction = (luma - luma_from_rgb(enlarged)) * (255 / 219)  # studio swing to full
    return _codes(enlarged + correction[..., None])


def _score(pair: TestPair, made: Image8, luma: NDArray[np.float64], spec: ModelSpec) -> Score:
    expected = pair.high[..., 0].astype(np.float64) if pair.grey else luma_from_rgb(pair.high)
    if spec.name == BICUBIC:
        expected = _codes(expected).astype(np.float64)
    crop = spec.scale
    return Score(
        image=pair.name,
        psnr_y=psnr(luma, expected, crop_px=crop),
        ssim_y=ssim(luma, expected, crop_px=crop),
        psnr_rgb=psnr(made, pair.high, crop_px=crop),
        ssim_rgb=ssim(made, pair.high, crop_px=crop),
        gmsd=gmsd(luma, expected, crop_px=crop),
        lr_consistency=lr_consistency(made, pair.low, spec.scale),
        niqe=niqe(luma),
    )


def _codes(values: NDArray[np.generic]) -> Image8:
    """Round half up and clip to 8 bits."""
    return np.clip(np.floor(values.astype(np.float64) + 0.5), 0, 255).astype(np.uint8)
