"""Public test doubles: small networks as ONNX, a slow plain reference, and synthetic pictures.

Front ends and third parties test against these; nothing else in the package imports this module.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, TensorProto, helper

from sr_core.color import SITING_OFFSET, ColorSpec, code_scale, ycc_from_rgb
from sr_core.frame import Array, PixelFormat, Planes
from sr_core.graph import taps
from sr_core.graph.onnx_builder import IR_VERSION, OnnxBuilder
from sr_core.graph.receptive_field import receptive_radius
from sr_core.model_spec import INPUT_NAME, OUTPUT_NAME, ColorSpace, ModelSpec, with_spec

OPSET = 18


def nearest_model(scale: int, *, color_space: ColorSpace = "rgb") -> ModelProto:
    """Repeats every pixel; at scale 1 the identity. Halo 0."""
    channels = 3 if color_space == "rgb" else 1
    build = OnnxBuilder()
    if scale == 1:
        build.op("body", "Identity", INPUT_NAME, output=OUTPUT_NAME)
    else:
        weights = np.repeat(np.eye(channels), scale * scale, axis=0)[:, :, None, None]
        value = build.conv("body", INPUT_NAME, weights)
        build.op("body", "DepthToSpace", value, blocksize=scale, mode="CRD", output=OUTPUT_NAME)
    return _finish(build, ModelSpec(name=f"nearest-x{scale}", scale=scale, color_space=color_space))


def random_model(
    scale: int,
    *,
    color_space: ColorSpace = "rgb",
    features: int = 8,
    layers: int = 2,
    seed: int = 0,
    base: bool = True,
) -> ModelProto:
    """An untrained compact network: convolutions with PReLU, sub-pixel head, bilinear base."""
    channels, random = (3 if color_space == "rgb" else 1), np.random.default_rng(seed)
    build = OnnxBuilder()
    value, before = INPUT_NAME, channels
    for _ in range(layers):
        weights = random.normal(0, (2 / (9 * before)) ** 0.5, (features, before, 3, 3))
        value = build.conv("body", value, weights, random.normal(0, 0.02, features), pads=[1] * 4)
        value = build.op("body", "PRelu", value, build.constant(np.full((features, 1, 1), 0.2)))
        before = features
    weights = random.normal(0, 0.1 / (9 * before) ** 0.5, (channels * scale**2, before, 3, 3))
    value = build.conv("body", value, weights, np.zeros(channels * scale**2), pads=[1] * 4)
    value = build.op("body", "DepthToSpace", value, blocksize=scale, mode="CRD")
    if base:
        value = build.op("body", "Add", value, _bilinear_base(build, channels, scale), output=OUTPUT_NAME)
    else:
        build.op("body", "Identity", value, output=OUTPUT_NAME)
    name = f"random{seed}-x{scale}"
    return _finish(build, ModelSpec(name=name, scale=scale, color_space=color_space))


def global_model(scale: int, *, seed: int = 0) -> ModelProto:
    """A network that sees everything: its output is scaled by a mean over the whole picture."""
    inner = random_model(scale, seed=seed)
    build = OnnxBuilder()
    value = build.inline(inner, INPUT_NAME, "inner/")
    mean = build.op("body", "GlobalAveragePool", INPUT_NAME)
    gain = build.op("body", "Add", mean, build.constant(np.full((1, 3, 1, 1), 0.5)))
    build.op("body", "Mul", value, gain, output=OUTPUT_NAME)
    return _finish(build, ModelSpec(name=f"global{seed}-x{scale}", scale=scale))


def _bilinear_base(build: OnnxBuilder, channels: int, scale: int) -> str:
    phases = np.array([[max(0.0, 1 - abs((p + 0.5) / scale - 0.5 - tap)) for tap in (-1, 0, 1)] for p in range(scale)])
    kernels = np.einsum("ay,bx->abyx", phases, phases).reshape(-1, 3, 3)
    weights = np.einsum("nm,pyx->npmyx", np.eye(channels), kernels).reshape(-1, channels, 3, 3)
    value = build.pad_edge("base", INPUT_NAME, top=1, left=1, bottom=1, right=1)
    value = build.conv("base", value, weights)
    return build.op("base", "DepthToSpace", value, blocksize=scale, mode="CRD")


def _finish(build: OnnxBuilder, spec: ModelSpec) -> ModelProto:
    for name, values in ((INPUT_NAME, build.inputs), (OUTPUT_NAME, build.outputs)):
        shape = ["n", spec.channels, f"{name}_h", f"{name}_w"]
        values.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    model = build.model(spec.name, OPSET)
    model.ir_version = IR_VERSION
    halo = receptive_radius(model, scale=spec.scale)
    facts = ModelSpec(name=spec.name, scale=spec.scale, color_space=spec.color_space, halo_px=halo)
    return with_spec(model, facts)


def picture(width: int, height: int, *, seed: int = 0) -> npt.NDArray[np.float64]:
    """A smooth, colourful, in-gamut RGB picture [height, width, 3] in 0.05..0.95."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    planes = []
    for _ in range(3):
        waves = sum(
            random.uniform(0.3, 1)
            * np.sin(random.uniform(-0.15, 0.15) * x + random.uniform(-0.15, 0.15) * y + random.uniform(0, 6))
            for _ in range(4)
        )
        planes.append(0.5 + 0.12 * np.asarray(waves))
    return np.clip(np.stack(planes, axis=-1), 0.05, 0.95)


def planes_from_rgb(rgb: npt.NDArray[np.float64], fmt: PixelFormat, color: ColorSpec) -> Planes:
    """Encode RGB 0..1 [H, W, 3] as planes of `fmt`: the plain, slow way, for tests to compare with.

    Chroma is decimated with the short filters of `taps.chroma_down` around its siting.
    """
    if fmt.family == "rgb":
        values = rgb if fmt.is_float else rgb * fmt.peak
        coded = _encode(values, fmt)
        return (coded,) if fmt.layout == "packed" else tuple(coded[..., index] for index in range(3))
    ycc = rgb @ ycc_from_rgb(color.matrix).T
    scale = (1.0, 0.0, 1.0, 0.0) if fmt.is_float else code_scale(depth=fmt.depth, full_range=color.full_range)
    luma = _encode(ycc[..., 0] * scale[0] + scale[1], fmt)
    if fmt.family == "gray":
        return (luma,)
    horizontal, vertical = SITING_OFFSET[color.siting]
    chroma = [
        _encode(_decimate(ycc[..., index], fmt.subsampling, (horizontal, vertical)) * scale[2] + scale[3], fmt)
        for index in (1, 2)
    ]
    return (luma, np.stack(chroma, axis=-1)) if fmt.layout == "semiplanar" else (luma, *chroma)


def _encode(values: npt.NDArray[np.float64], fmt: PixelFormat) -> Array:
    if fmt.is_float:
        return values.astype(fmt.dtype)
    codes = np.rint(np.clip(values, 0, fmt.peak)).astype(fmt.dtype)
    return codes << (16 - fmt.depth) if fmt.msb_aligned else codes


def _decimate(
    plane: npt.NDArray[np.float64], divisors: Sequence[int], offsets: tuple[float, float]
) -> npt.NDArray[np.float64]:
    for axis, divisor, offset in ((1, divisors[0], offsets[0]), (0, divisors[1], offsets[1])):
        if divisor == 1:
            continue
        if plane.shape[axis] % 2:
            plane = np.concatenate([plane, plane.take([-1], axis)], axis)
        line, first = taps.chroma_down(offset, dual=False)
        padded = np.pad(plane, [(4, 4) if index == axis else (0, 0) for index in (0, 1)], mode="edge")
        count = plane.shape[axis] // 2
        plane = sum(
            weight * padded.take(np.arange(count) * 2 + first + index + 4, axis) for index, weight in enumerate(line)
        )
    return plane
