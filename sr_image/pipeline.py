"""What happens to pixels before and after the network: PixelPipeline.

    as read ─► finite ─► straight alpha ─► sRGB ─► curve ─► NETWORK ─► curve ─► size ─► background
            ─► premultiplied ─► depth and channels of the output

Each step is there only where the input, the output format or an option asks for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from sr_core.errors import BadInput
from sr_core.frame import Array, unit_from_samples
from sr_core.wording import option
from sr_image.color.curve import Curve, samples_from_unit
from sr_image.color.profile import ToSrgb, icc_space, linear_srgb_icc, srgb_icc
from sr_image.formats.capabilities import ImageFormat
from sr_image.metadata.carried import Alpha, Header, Metadata
from sr_image.metadata.png_chunks import hdr_transfer

# what a sample type becomes where the format does not have it, best first
_NEXT_BEST = {
    "uint8": ("uint16", "float16", "float32"),
    "uint16": ("float32", "uint8"),
    "float16": ("float32", "uint16", "uint8"),
    "float32": ("uint16", "uint8"),
}
_BITS = {"uint8": "8 bits", "uint16": "16 bits", "float16": "half floats", "float32": "floats"}
_HEIC_BITS = 12
INFINITY = 65_504.0  # what infinite light is taken for: the largest half float


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """What must be known of a whole frame before its first row can be computed."""

    low: float = 0.0
    high: float = 1.0
    alpha_is_constant: bool = False


@dataclass(frozen=True, kw_only=True)
class PixelPipeline:
    """The steps between reading and writing one image.

    Attributes:
        source_alpha, alpha: of the input and the output.
        channels, dtype: of the output.
        to_srgb: converts colour where the profile is not kept.
        is_linear_in, is_linear_out: linear light before and after.
        background: colour laid under transparency, 0..255.
        icc: profile of the output.
        keeps_png_color: gAMA, cHRM, cICP go along.
    """

    source_alpha: Alpha
    alpha: Alpha
    channels: int
    dtype: str
    to_srgb: ToSrgb | None = None
    is_linear_in: bool = False
    is_linear_out: bool = False
    background: tuple[int, int, int] | None = None
    icc: bytes | None = None
    keeps_png_color: bool = False
    notes: tuple[str, ...] = ()

    @property
    def is_premultiplied(self) -> bool:
        """Whether the network sees colour multiplied by alpha."""
        return self.source_alpha == "premultiplied" and self.alpha == "premultiplied"

    def needs_statistics(self, dtype: str) -> bool:
        """Whether a whole frame must be looked at first."""
        return self.source_alpha != "none" or dtype.startswith("float")

    def metadata(self, metadata: Metadata) -> Metadata:
        """`meaning` with the profile and colour chunks this pipeline leaves."""
        return replace(metadata, icc=self.icc, png_color=metadata.png_color if self.keeps_png_color else ())

    def prepare(self, strip: Array) -> Array:
        """A strip as read → finite, straight alpha, sRGB where asked."""
        if strip.dtype.kind == "f" and not np.isfinite(strip).all():
            strip = np.nan_to_num(strip, nan=0.0, posinf=INFINITY, neginf=0.0)
        if self.source_alpha == "premultiplied" and not self.is_premultiplied:
            strip = _unpremultiply(strip)
        if self.to_srgb is not None:
            colors = 1 if strip.shape[2] <= 2 else 3
            strip = np.concatenate([self.to_srgb(strip[..., :colors]), strip[..., colors:]], axis=2)
        return strip

    def curve(self, measure_statistics: Statistics) -> Curve:
        """Between prepared samples and what the network sees."""
        return Curve(is_linear=self.is_linear_in, low=measure_statistics.low, high=measure_statistics.high)

    def encode(self, strip: Array, curve: Curve) -> Array:
        """A prepared strip → what the network gets."""
        if curve.is_identity:
            return strip
        colors = 1 if strip.shape[2] <= 2 else 3
        parts = [curve.encode(strip[..., :colors])]
        if strip.shape[2] > colors:
            parts.append(unit_from_samples(strip[..., colors:]).astype(np.float32))
        return np.concatenate(parts, axis=2)

    def decode(self, strip: Array, curve: Curve) -> Array:
        """The network's output → samples of the output's type, straight or premultiplied as it was."""
        dtype = np.dtype(self.dtype)
        if curve.is_identity and not self.is_linear_out:
            return strip if strip.dtype == dtype else samples_from_unit(unit_from_samples(strip), dtype)
        colors = 1 if strip.shape[2] <= 2 else 3
        parts = [curve.decode(unit_from_samples(strip[..., :colors]), dtype, is_linear_out=self.is_linear_out)]
        if strip.shape[2] > colors:
            parts.append(samples_from_unit(unit_from_samples(strip[..., colors:]), dtype))
        return np.concatenate(parts, axis=2)

    def finish(self, strip: Array) -> Array:
        """A resized strip → the output's channels."""
        if self.source_alpha != "none" and self.alpha == "none":
            strip = self._on_background(strip)
        elif self.alpha == "premultiplied" and not self.is_premultiplied:
            alpha = unit_from_samples(strip[..., -1:])
            color = samples_from_unit(unit_from_samples(strip[..., :-1]) * alpha, strip.dtype)
            strip = np.concatenate([color, strip[..., -1:]], axis=2)
        if self.channels - strip.shape[2] == 2:  # gray into a format that only has RGB
            strip = np.concatenate([np.repeat(strip[..., :1], 3, axis=2), strip[..., 1:]], axis=2)
        return strip

    def _on_background(self, strip: Array) -> Array:
        assert self.background is not None
        alpha, color = unit_from_samples(strip[..., -1:]), unit_from_samples(strip[..., :-1])
        under = unit_from_samples(np.array(self.background, np.uint8))
        if color.shape[2] == 1 and len(set(self.background)) == 1:
            under = under[:1]
        return samples_from_unit(color * alpha + under * (1 - alpha), strip.dtype)


def measure_statistics(strips: Iterable[Array], *, has_alpha: bool) -> Statistics:
    """Look at prepared strips: range of float colour, and whether alpha is one value throughout."""
    low, high, alphas = 0.0, 1.0, []
    for strip in strips:
        if strip.dtype.kind == "f":
            color = strip[..., :-1] if has_alpha else strip
            low, high = min(low, float(color.min())), max(high, float(color.max()))
        if has_alpha:
            alphas += [strip[..., -1].min(), strip[..., -1].max()]
    return Statistics(low=low, high=high, alpha_is_constant=has_alpha and min(alphas) == max(alphas))


def orient(pixels: Array, orientation: int) -> Array:
    """Pixels turned upright by EXIF `orientation` 1..8 (EXIF 2.32 §4.6.4)."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def plan_pipeline(
    source: Header,
    metadata: Metadata,
    kind: ImageFormat,
    *,
    profile: str,
    background: tuple[int, int, int] | None,
) -> PixelPipeline:
    """Choose the steps for an image of `source` and `meaning` written as `kind`.

    Args:
        profile: 'keep' or 'srgb'.
        background: laid under transparency only where `kind` has no alpha.
    """
    notes: list[str] = []
    name = kind.name.upper()
    hdr = hdr_transfer(metadata.png_color)
    if hdr and (kind.name != "png" or profile == "srgb"):
        raise BadInput(
            f"its samples are HDR ({hdr}), which {'sRGB' if kind.name == 'png' else name} cannot say: "
            "it would look flat and gray",
            hint=f"write png, which says so (OUT's ending, or {option('format', 'png')}), or convert it to SDR first",
        )
    dtype = _dtype_for(source.dtype, kind, notes)
    space = icc_space(metadata.icc or b"")
    if space in ("CMYK", "Lab") or (space == "GRAY" and source.channels >= 3):
        notes.append(f"ICC profile left out: it is for {space} samples, the image has none")
        metadata = replace(metadata, icc=None, is_linear=False)
    holds_icc = "icc" in kind.keeps
    widens = source.channels <= 2 and not kind.gray and space == "GRAY"
    must_convert = profile == "srgb" or not holds_icc or widens
    to_srgb = ToSrgb(metadata.icc) if metadata.icc and must_convert else None
    icc = metadata.icc
    if to_srgb is not None:
        icc = srgb_icc() if holds_icc else None
        if to_srgb.is_identity:
            to_srgb = None
        else:
            notes.append("converted to sRGB" + ("" if holds_icc else f": {name} has no place for an ICC profile"))
    is_linear_in = metadata.is_linear and to_srgb is None
    keeps_png_color = kind.name == "png" and profile == "keep"
    is_linear_out = kind.name == "exr"
    if is_linear_in and not is_linear_out:
        if (keeps_png_color and metadata.png_color) or (metadata.icc and holds_icc):
            is_linear_out = True
        elif holds_icc and dtype.startswith("float"):
            is_linear_out, icc = True, linear_srgb_icc()
        else:
            notes.append("linear light encoded as sRGB, values above 1 clipped")
    if not keeps_png_color and not metadata.icc and {k for k, _ in metadata.png_color} - {b"sRGB"}:
        notes.append(f"colour tags ({', '.join(k.decode() for k, _ in metadata.png_color)}) left out")
    alpha = source.alpha
    if alpha != "none":
        if kind.name == "exr":
            alpha = "premultiplied"
        elif background is not None and not kind.alpha:
            alpha = "none"
            notes.append("transparency laid on the background")
        elif kind.name != "tiff":
            alpha = "straight"
    colors = 1 if source.channels <= 2 and kind.gray else 3
    if source.channels <= 2 and alpha == "none" and source.alpha != "none" and len(set(background or ())) > 1:
        colors = 3  # gray on a coloured background
    return PixelPipeline(
        source_alpha=source.alpha, alpha=alpha, channels=colors + (alpha != "none"), dtype=dtype,
        to_srgb=to_srgb, is_linear_in=is_linear_in, is_linear_out=is_linear_out, background=background,
        icc=icc, keeps_png_color=keeps_png_color, notes=tuple(notes),
    )  # fmt: skip


def _dtype_for(dtype: str, kind: ImageFormat, notes: list[str]) -> str:
    if dtype in kind.depths:
        if kind.name == "heic" and dtype == "uint16":
            notes.append(f"16 bits reduced to {_HEIC_BITS}: HEIC holds no more")
        return dtype
    chosen = next(entry for entry in _NEXT_BEST[dtype] if entry in kind.depths)
    if np.dtype(chosen).itemsize < np.dtype(dtype).itemsize or (dtype[0] == "f" and chosen[0] != "f"):
        notes.append(f"{_BITS[dtype]} reduced to {_BITS[chosen]}: {kind.name.upper()} holds no more")
    return chosen


def _unpremultiply(strip: Array) -> Array:
    """Colour divided by alpha; black where alpha is 0."""
    alpha, color = unit_from_samples(strip[..., -1:]), unit_from_samples(strip[..., :-1])
    straight = np.divide(color, alpha, out=np.zeros_like(color), where=alpha > 0)
    return np.concatenate([samples_from_unit(straight, strip.dtype), strip[..., -1:]], axis=2)
