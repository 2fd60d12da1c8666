"""A shipped network made ready for INT8: which convolutions, with what ranges, and what it costs.

    float model ─ ranges: min and max over open pictures ─ narrowed while the output comes closer to FP32 ─┐
    model + quantizers + loss by set ◄─ measured ◄─ convolutions given back to FP32 while it costs too much ─┘

No training. The quantizers lie beside the float weights in the same file (`sr_core.graph.quantized`); results before a
residual addition are not quantized, which was two thirds of the loss. The pictures that ranges come from are
the ones networks are trained with; what decides is the loss against ground truth on others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from sr_core.errors import BadModel
from sr_core.graph.quantized import Range, add_quantizers, has_quantizers, remove_quantizers
from sr_core.model_spec import ModelSpec, load_model, spec_of, with_spec
from sr_core.storage import write_atomically
from sr_train.benchmark_sets import TestPair, find_set, read_pairs
from sr_train.decoding import read_rgb
from sr_train.imresize import crop_to_multiple, imresize
from sr_train.metrics import luma_from_rgb, psnr
from sr_zoo.onnx_run import open_int8_runner, open_named_outputs, open_runner

LIMIT_DB = 0.02  # what INT8 may cost on each set for `auto` to take it
FACTORS = (0.9, 0.8, 0.7, 0.6, 0.5)  # of a range: clipping a little may cost less than coarse steps
CALIBRATION = (("photo640", 24), ("comic640", 6), ("vector", 6))  # folders under DATA/train, pictures of each
PICTURE_CHANNELS = 4  # at most, of a picture or of what is linear in its colors
CROP = 128  # side of what is used of each, in low-resolution pixels
SEARCHED = 4  # every how many of these the search runs on
STREETS = """budgie_beacon-street-sunset_700_254 budgie_high-trestle-trail_700_680 budgie_roman-colosseum_700_254
budgie_singaporean-cityscape_700_254 clic25v_0c49a5cce349020bbba2f97ae41e90ba_64_679
clic25v_22ea12c903e41583b7c469cb86040157_179_1344 clic25v_7e499613c3e376ea93afb3649719abeb_127_704
clic25v_a10ae819a2d24873079c93346200cab3_683_64 clic25v_aed95e005df28e790519eefb6eb1e565_704_683
clic25v_b939ac34faa94b5d0e753d570edc7048_1344_166 deepin-unsplash_joshua-coleman-KzPefInJW58-unsplash_700_317
squeeze-unsplash_seondol-son-skcD9ONunJw-unsplash_60_765""".split()  # facades and streets of train/photo640, held out

Batch = NDArray[np.float32]
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Which convolutions run in INT8, and the range of every tensor one of them reads."""

    convolutions: tuple[str, ...]
    ranges: Mapping[str, Range]

    def applied(self, model: ModelProto) -> ModelProto:
        return add_quantizers(model, self.ranges, self.convolutions)


def quantize_file(
    path: Path, *, data_root: Path, b100_images: int, floats_at_end: int = 0, say: Say = lambda line: None
) -> ModelSpec:
    """Replace the quantizers of the model at `path` and write what they cost into its spec.

    Args:
        b100_images: how many of B100's hundred are measured.
        floats_at_end: how many of the last convolutions stay in FP32. Their rounding goes straight into the picture:
            no PSNR sees it, but a still scene flickers.

    Raises:
        BadModel: no convolutions that could run in INT8.
        BadInput: pictures are missing under `data_root`.
    """
    model, spec = load_own(path)
    remove_quantizers(model)
    pictures = calibration_batches(data_root, spec.scale)
    sets = open_sets(data_root, spec.scale, b100_images)
    exact = psnr_by_set(open_runner(model), sets, spec.scale)
    plan = narrow(first_plan(model, pictures, floats_at_end), model, pictures, say)
    while True:
        quantized = plan.applied(model)
        reached = psnr_by_set(open_int8_runner(quantized), sets, spec.scale)
        loss = {name: round(exact[name] - reached[name], 4) for name in sets}
        say(f"{spec.name}: {len(plan.convolutions)} convolutions in INT8 cost {loss} dB")
        if max(loss.values()) <= LIMIT_DB or len(plan.convolutions) == 1:
            break
        plan = without_worst(plan, model, pictures)
    final = replace(spec, int8_loss=loss)
    write_atomically(path, with_spec(quantized, final).SerializeToString())
    return final


def measure_file(path: Path, *, data_root: Path, b100_images: int) -> ModelSpec:
    """Measure what the quantizers of the model at `path` cost, and write that into its spec: they stay as they are.

    Raises:
        BadModel: it has no quantizers.
        BadInput: pictures are missing under `data_root`.
    """
    model, spec = load_own(path)
    if not has_quantizers(model):
        raise BadModel(f"{path.name} has no quantizers", hint="srkit quantize writes them")
    sets = open_sets(data_root, spec.scale, b100_images)
    exact, reached = (psnr_by_set(run, sets, spec.scale) for run in (open_runner(model), open_int8_runner(model)))
    final = replace(spec, int8_loss={name: round(exact[name] - reached[name], 4) for name in sets})
    write_atomically(path, with_spec(model, final).SerializeToString())
    return final


def load_own(path: Path) -> tuple[ModelProto, ModelSpec]:
    """A model of this project's for RGB, and its facts.

    Raises:
        BadModel: it is not.
    """
    model = load_model(path)
    spec = spec_of(model)
    if spec is None or spec.color_space != "rgb":
        raise BadModel(f"{path.name} is not an RGB model of ours", hint="srkit models import FILE")
    return model, spec


def first_plan(model: ModelProto, pictures: Sequence[Batch], floats_at_end: int = 0) -> Plan:
    """Every convolution with another one before it but the last, ranges from least to most over `pictures`."""
    convolutions = inner_convolutions(model)
    convolutions = convolutions[: max(0, len(convolutions) - floats_at_end)]
    sources = {node.name: node.input[0] for node in model.graph.node if node.name in convolutions}
    if not convolutions:
        raise BadModel("the network has no convolution behind its first that may be INT8")
    tensors = list(dict.fromkeys(sources.values()))
    run = open_named_outputs(model, tensors)
    low, high = dict.fromkeys(tensors, 0.0), dict.fromkeys(tensors, 0.0)
    for picture in pictures:
        for name, values in run(picture).items():
            low[name] = min(low[name], float(values.min()))
            high[name] = max(high[name], float(values.max()))
    return Plan(convolutions=convolutions, ranges={name: Range(low[name], high[name]) for name in tensors})


def inner_convolutions(model: ModelProto) -> tuple[str, ...]:
    """Names of the convolutions that read features: a base and the first one read the picture.

    So do those of restore's colors, by way of R-G and B-G: coarse steps there are color that PSNR on Y does not see.
    """
    held = {tensor.name: tensor for tensor in model.graph.initializer}
    behind: set[str] = set()
    found = []
    for node in model.graph.node:
        is_behind = any(name in behind for name in node.input)
        if node.op_type == "Conv" and is_behind and node.input[1] in held:
            found += [node.name] if held[node.input[1]].dims[1] > PICTURE_CHANNELS else []
        if is_behind or node.op_type == "Conv":
            behind.update(node.output)
    return tuple(found)


def narrow(plan: Plan, model: ModelProto, pictures: Sequence[Batch], say: Say = lambda line: None) -> Plan:
    """One end of one range after the other moved in while the output comes closer to FP32."""
    error = squared_error(model, pictures)
    first = best = error(plan)
    for name, end in product(plan.ranges, ("high", "low")):
        whole = plan.ranges[name]
        for factor in FACTORS:
            moved = replace(whole, **{end: getattr(whole, end) * factor})
            tried = replace(plan, ranges={**plan.ranges, name: moved})
            found = error(tried)
            if found < best:
                plan, best = tried, found
            elif factor <= FACTORS[1]:
                break
    say(f"narrower ranges: {10 * np.log10(first / best):.1f} dB closer to FP32")
    return plan


def without_worst(plan: Plan, model: ModelProto, pictures: Sequence[Batch]) -> Plan:
    """The plan less the convolution that costs most."""
    error = squared_error(model, pictures)
    plans = [
        replace(plan, convolutions=tuple(name for name in plan.convolutions if name != left_out))
        for left_out in plan.convolutions
    ]
    return min(plans, key=error)


def squared_error(model: ModelProto, pictures: Sequence[Batch]) -> Callable[[Plan], float]:
    """What a plan's output differs from FP32's, on some of `pictures`."""
    few = pictures[::SEARCHED]
    exact = open_runner(model)
    expected = [exact(picture) for picture in few]

    def error(plan: Plan) -> float:
        run = open_int8_runner(plan.applied(model))
        return float(
            np.mean([np.square(run(picture) - wanted).mean() for picture, wanted in zip(few, expected, strict=True)])
        )

    return error


def calibration_batches(data_root: Path, scale: int) -> list[Batch]:
    """Low-resolution crops, spread over the folders; none of `STREETS`."""
    batches = []
    for folder, count in CALIBRATION:
        paths = sorted(path for path in (data_root / "train" / folder).glob("*") if path.stem not in STREETS)
        for path in paths[:: max(1, len(paths) // count)][:count]:
            low = imresize(crop_to_multiple(read_rgb(path), scale), 1 / scale)
            batches.append(as_batch(low[:CROP, :CROP]))
    if not batches:
        raise BadModel(f"no pictures to take ranges from under {data_root / 'train'}")
    return batches


def open_sets(data_root: Path, scale: int, b100_images: int) -> dict[str, list[TestPair]]:
    """Set5, B100 and the street scenes."""
    streets = (pair for pair in read_pairs(data_root / "train" / "photo640", scale) if pair.name in STREETS)
    return {
        "set5": list(read_pairs(find_set("set5", data_root), scale)),
        "b100": list(islice(read_pairs(find_set("b100", data_root), scale), b100_images)),
        "streets": list(streets),
    }


def psnr_by_set(run: Callable[[Batch], Batch], sets: Mapping[str, Iterable[TestPair]], scale: int) -> dict[str, float]:
    """Mean PSNR on Y, by the papers' protocol."""
    found = {}
    for name, pairs in sets.items():
        scores = []
        for pair in pairs:
            made = np.clip(np.floor(run(as_batch(pair.low))[0].transpose(1, 2, 0) * 255.0 + 0.5), 0, 255)
            luma, wanted = luma_from_rgb(made.astype(np.uint8)), luma_from_rgb(pair.high)
            scores.append(psnr(luma, wanted, crop_px=scale))
        found[name] = float(np.mean(scores))
    return found


def as_batch(image: NDArray[np.uint8]) -> Batch:
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
