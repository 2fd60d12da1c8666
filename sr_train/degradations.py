"""How a clean frame becomes what people really have: soft, resized, noisy, compressed.

    HR ─[ blur ─ resize down and up ]─ shrink to LR ─[ noise ─ ringing ─ JPEG or H.264 ]─ LR     each by
                                                                                                 chance

Small networks trained on MATLAB's bicubic alone sharpen compression blocks along with the picture. `video`
draws from the chain compressed clips go through; `photo` stays mild; `bicubic` is the papers' own. Every
draw comes from the generator passed in: the same generator state gives the same pixels.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

from sr_core.errors import BadInput
from sr_train.imresize import Image8, imresize

Floats = NDArray[np.float64]
RESAMPLERS = (
    Image.Resampling.BICUBIC,
    Image.Resampling.BILINEAR,
    Image.Resampling.BOX,
    Image.Resampling.LANCZOS,
    Image.Resampling.HAMMING,
)


@dataclass(frozen=True, kw_only=True)
class Chain:
    """Chances and ranges of one kind of source. Sigmas of blur are in LR pixels, of noise in codes."""

    blur: float = 0.0
    blur_sigma: tuple[float, float] = (0.2, 1.0)
    rescale: float = 0.0
    rescale_factor: tuple[float, float] = (0.6, 1.0)
    noise: float = 0.0
    noise_sigma: tuple[float, float] = (0.0, 4.0)
    ringing: float = 0.0
    jpeg: float = 0.0
    jpeg_quality: tuple[int, int] = (60, 95)
    video: float = 0.0
    crf: tuple[int, int] = (18, 30)


# shares and ranges: docs/notes/degradations.md; 45 % stays near clean, or clean input is over-smoothed
CLEAN = Chain(blur=0.2, blur_sigma=(0.2, 0.6), noise=0.3, noise_sigma=(0.0, 1.0), jpeg=0.2, jpeg_quality=(90, 98))
STREAM = Chain(blur=0.5, rescale=0.3, noise=0.4, ringing=0.15, video=0.75, jpeg=0.2)
POOR = Chain(
    blur=0.8,
    blur_sigma=(0.4, 1.8),
    rescale=0.6,
    rescale_factor=(0.5, 1.0),
    noise=0.8,
    noise_sigma=(2.0, 12.0),
    ringing=0.3,
    video=0.9,
    crf=(28, 36),
)
MIXES: dict[str, tuple[tuple[float, Chain], ...]] = {
    "bicubic": (),
    "photo": ((0.6, CLEAN), (0.4, Chain(blur=0.5, noise=0.4, jpeg=0.8))),
    "video": ((0.45, CLEAN), (0.45, STREAM), (0.10, POOR)),
}


def degrade(high: Image8, scale: int, *, mix: str, rng: Generator) -> Image8:
    """One LR image of `high` (sides divisible by `scale`), drawn from `mix`.

    Raises:
        BadInput: unknown mix.
    """
    if mix not in MIXES:
        raise BadInput(f"unknown degradation {mix!r}", hint=f"choose one of: {', '.join(MIXES)}")
    if mix == "bicubic":
        return imresize(high, 1 / scale)
    shares, chains = zip(*MIXES[mix], strict=True)
    chain = chains[int(rng.choice(len(chains), p=np.array(shares) / sum(shares)))]
    return _run_chain(high, scale, chain, rng)


def _run_chain(high: Image8, scale: int, chain: Chain, rng: Generator) -> Image8:
    before: list[Callable[[Image8], Image8]] = []
    if rng.random() < chain.blur:
        sigma = rng.uniform(*chain.blur_sigma) * scale
        before.append(lambda image: blur(image, gaussian_kernel(sigma, rng)))
    if rng.random() < chain.rescale:
        factor = rng.uniform(*chain.rescale_factor)
        before.append(lambda image: rescale_and_back(image, factor, rng))
    after: list[Callable[[Image8], Image8]] = []
    if rng.random() < chain.noise:
        after.append(lambda image: add_noise(image, rng.uniform(*chain.noise_sigma), rng))
    if rng.random() < chain.ringing:
        after.append(lambda image: blur(image, sinc_kernel(rng.uniform(np.pi / 2, np.pi))))
    last: list[Callable[[Image8], Image8]] = []
    if rng.random() < chain.video:
        last.append(lambda image: video_compressed(image, crf=int(rng.integers(*chain.crf)), rng=rng))
    elif rng.random() < chain.jpeg:
        last.append(lambda image: jpeg_compressed(image, int(rng.integers(*chain.jpeg_quality)), rng))
    image = high
    for step in _shuffle(before, rng):
        image = step(image)
    image = shrink(image, scale, rng)
    for step in [*_shuffle(after, rng), *last]:
        image = step(image)
    return image


def _shuffle(steps: list[Callable[[Image8], Image8]], rng: Generator) -> list[Callable[[Image8], Image8]]:
    return [steps[int(index)] for index in rng.permutation(len(steps))]


def shrink(image: Image8, scale: int, rng: Generator) -> Image8:
    """Down by `scale`: MATLAB's bicubic half of the time, else one of the usual other filters."""
    if rng.random() < 0.5:
        return imresize(image, 1 / scale)
    size = (image.shape[1] // scale, image.shape[0] // scale)
    return np.asarray(Image.fromarray(image).resize(size, RESAMPLERS[int(rng.integers(len(RESAMPLERS)))]))


def rescale_and_back(image: Image8, factor: float, rng: Generator) -> Image8:
    """What a service does that stores 720p and delivers 1080p: detail is lost, the size stays."""
    height, width = image.shape[:2]
    small = (max(8, round(width * factor)), max(8, round(height * factor)))
    down, up = (RESAMPLERS[int(rng.integers(4))] for _ in range(2))
    return np.asarray(Image.fromarray(image).resize(small, down).resize((width, height), up))


def gaussian_kernel(sigma: float, rng: Generator) -> Floats:
    """A Gaussian, half of the time stretched up to 1.5 times along a random direction."""
    stretch = rng.uniform(1.0, 1.5) if rng.random() < 0.5 else 1.0
    angle = rng.uniform(0, np.pi)
    reach = max(1, int(np.ceil(3 * sigma * stretch)))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float64)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    kernel: Floats = np.exp(-0.5 * ((along / (sigma * stretch)) ** 2 + (across / sigma) ** 2))
    return kernel / kernel.sum()


def sinc_kernel(cutoff: float, *, reach: int = 6) -> Floats:
    """A separable windowed low-pass (radians per pixel): its overshoot is the ringing of sharp resizers."""
    x = np.arange(-reach, reach + 1)
    taps = np.sinc(x * cutoff / np.pi) * np.kaiser(2 * reach + 1, 2.0)
    kernel: Floats = np.outer(taps, taps)
    return kernel / kernel.sum()


def blur(image: Image8, kernel: Floats) -> Image8:
    """Convolve each colour with `kernel`; the border is repeated."""
    reach = kernel.shape[0] // 2
    padded = np.pad(image.astype(np.float64), ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    shape = padded.shape[:2]
    spectrum = np.fft.rfft2(padded, axes=(0, 1)) * np.fft.rfft2(kernel, s=shape)[..., None]
    full = np.fft.irfft2(spectrum, s=shape, axes=(0, 1))
    return _codes(full[2 * reach :, 2 * reach :])


def add_noise(image: Image8, sigma: float, rng: Generator) -> Image8:
    """Gaussian (60 %) or signal-dependent Poisson noise of `sigma` codes at mid grey; 40 % of it grey."""
    planes = 1 if rng.random() < 0.4 else 3
    grain = rng.standard_normal((*image.shape[:2], planes))
    if rng.random() < 0.4:
        grain = grain * np.sqrt(np.maximum(image.mean(axis=2, keepdims=True), 1.0) / 128)
    return _codes(image + sigma * grain)


def jpeg_compressed(image: Image8, quality: int, rng: Generator) -> Image8:
    """Through a 4:2:0 JPEG whose 8x8 grid starts anywhere."""
    dy, dx = (int(shift) for shift in rng.integers(0, 8, size=2))
    shifted = np.pad(image, ((dy, 0), (dx, 0), (0, 0)), mode="edge")
    buffer = io.BytesIO()
    Image.fromarray(shifted).save(buffer, "JPEG", quality=quality, subsampling=2)
    with Image.open(buffer) as decoded:
        return np.asarray(decoded.convert("RGB"))[dy:, dx:]


def video_compressed(image: Image8, *, crf: int, rng: Generator, frames: int = 4) -> Image8:
    """Through x264 as one frame of a short drifting clip, so that P and B frames' damage is seen too."""
    import av

    height, width = (side - side % 2 for side in image.shape[:2])
    drift = rng.integers(-2, 3, size=(frames, 2)).cumsum(axis=0)
    chosen = int(rng.integers(frames))
    drift -= drift[chosen]
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": str(crf), "preset": "veryfast", "threads": "1"}
        for dy, dx in drift:
            moved = np.roll(image, (int(dy), int(dx)), axis=(0, 1))[:height, :width]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(moved), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    buffer.seek(0)
    result = image.copy()
    with av.open(buffer, "r") as source:
        for index, frame in enumerate(source.decode(video=0)):
            if index == chosen:
                result[:height, :width] = frame.to_ndarray(format="rgb24")
    return result


def _codes(values: Floats) -> Image8:
    return np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8)
