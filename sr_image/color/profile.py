"""ICC profiles: is it linear, to sRGB, CMYK and Lab to RGB.

RGB and gray profiles made of a matrix and curves (all camera, display and editing spaces) are
computed here in floating point, so 16-bit and float images lose nothing; profiles made of tables
go through LittleCMS (by Pillow) in 8 bits.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sr_core.errors import BadInput
from sr_core.frame import Array
from sr_core.wording import option
from sr_image.color.curve import linear_from_srgb, samples_from_unit, srgb_from_linear

# linear sRGB -> XYZ adapted to D50, the columns of the ICC's own sRGB profile (IEC 61966-2-1, Bradford)
SRGB_D50 = np.array(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)
_SAME_MATRIX = 2e-3  # profiles store s15Fixed16 columns, differently rounded by their makers
_SAME_CURVE = 1.5e-3  # below half a step of 8 bits; sampled sRGB curves differ by less


def icc_space(icc: bytes) -> str:
    """'RGB', 'GRAY', 'CMYK', 'Lab', … ; '' where the profile is broken."""
    if len(icc) < 132 or icc[36:40] != b"acsp":
        return ""
    return icc[16:20].decode("latin-1").strip()


def icc_is_linear(icc: bytes | None) -> bool:
    """Whether samples under this profile are linear light."""
    if not icc or icc_space(icc) not in ("RGB", "GRAY"):
        return False
    tags = _tags(icc)
    body = tags.get("kTRC") or tags.get("gTRC")
    if body is None:
        return False
    ramp = np.linspace(0, 1, 33)
    try:
        return bool(np.abs(_curve(body, ramp) - ramp).max() < _SAME_CURVE)
    except BadInput:
        return False  # a profile that is only carried along may be broken


@lru_cache(maxsize=1)
def srgb_icc() -> bytes:
    """The sRGB profile that is embedded where pixels were converted to sRGB."""
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@lru_cache(maxsize=1)
def linear_srgb_icc() -> bytes:
    """A profile of sRGB's primaries with linear light, for float images that came without one."""

    def xyz(values: Array) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))

    name = b"Linear sRGB"
    description = b"desc\0\0\0\0" + struct.pack(">I", len(name) + 1) + name + b"\0" * (1 + 4 + 4 + 2 + 1 + 67)
    linear = b"curv\0\0\0\0\0\0\0\0"
    bodies = {
        b"desc": description,
        b"cprt": b"text\0\0\0\0Public domain\0",
        b"wtpt": xyz(np.array([0.9642, 1.0, 0.8249])),  # D50, ICC.1:2022 §7.2.16
        b"rXYZ": xyz(SRGB_D50[:, 0]),
        b"gXYZ": xyz(SRGB_D50[:, 1]),
        b"bXYZ": xyz(SRGB_D50[:, 2]),
        b"rTRC": linear,
        b"gTRC": linear,
        b"bTRC": linear,
    }
    at = 132 + 12 * len(bodies)
    table, data = struct.pack(">I", len(bodies)), b""
    for signature, body in bodies.items():
        table += signature + struct.pack(">II", at + len(data), len(body))
        data += body + b"\0" * (-len(body) % 4)
    head = struct.pack(">I4sI4s4s4s", at + len(data), b"\0" * 4, 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    head += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + b"\0" * 28
    head += struct.pack(">3i", round(0.9642 * 65536), 65536, round(0.8249 * 65536))
    return head.ljust(128, b"\0") + table + data


@dataclass(frozen=True)
class ToSrgb:
    """Converts colour samples under one ICC profile to sRGB. Alpha is not its business."""

    icc: bytes

    @property
    def is_identity(self) -> bool:
        """The profile is sRGB already (within what profiles' own rounding leaves open)."""
        tags = _tags(self.icc)
        names = _curve_names(tags)
        return all(name in tags for name in names) and self._is_srgb(tags, names)

    def __call__(self, color: Array) -> Array:
        """(rows, width, 1 or 3) → the same shape and type, sRGB-encoded.

        Raises:
            BadInput: a broken profile, or a table profile with more than 8 bits.
        """
        tags = _tags(self.icc)
        names = _curve_names(tags)
        if color.shape[2] == 1:
            names = names[-1:] if names == ["kTRC"] else ["gTRC"]
        if not all(name in tags for name in names):
            return self._by_tables(color)
        if self._is_srgb(tags, names):
            return color
        if color.dtype.kind == "f":
            linear = np.stack([_curve(tags[n], color[..., i]) for i, n in enumerate(names)], axis=-1)
        else:
            peak = np.iinfo(color.dtype).max
            ramp = np.linspace(0, 1, peak + 1)
            linear = np.stack([_curve(tags[n], ramp)[color[..., i]] for i, n in enumerate(names)], axis=-1)
        if len(names) == 3:
            linear = linear @ self._matrix(tags).T
        return samples_from_unit(srgb_from_linear(np.clip(linear, 0, 1)), color.dtype)

    def _matrix(self, tags: dict[str, bytes]) -> Array:
        columns = np.stack([_xyz(tags.get(name, b"")) for name in ("rXYZ", "gXYZ", "bXYZ")], axis=1)
        matrix: Array = np.linalg.inv(SRGB_D50) @ columns
        return matrix

    def _is_srgb(self, tags: dict[str, bytes], names: list[str]) -> bool:
        ramp = np.linspace(0, 1, 256)
        curves = all(np.abs(_curve(tags[n], ramp) - linear_from_srgb(ramp)).max() < _SAME_CURVE for n in names)
        return curves and (len(names) == 1 or bool(np.abs(self._matrix(tags) - np.eye(3)).max() < _SAME_MATRIX))

    def _by_tables(self, color: Array) -> Array:
        if color.dtype != np.uint8:
            raise BadInput(
                f"this {icc_space(self.icc) or 'broken'} ICC profile can only be converted for 8-bit images",
                hint=f"use {option('profile', 'keep')}",
            )
        mode = "L" if color.shape[2] == 1 else "RGB"
        converted = _by_lcms(color if mode == "RGB" else color[..., 0], mode, self.icc)
        return converted if mode == "RGB" else converted[..., 1:2]


def _curve_names(tags: dict[str, bytes]) -> list[str]:
    return ["kTRC"] if "kTRC" in tags else ["rTRC", "gTRC", "bTRC"]


def rgb_from_cmyk(cmyk: Array, icc: bytes | None) -> Array:
    """(H, W, 3) sRGB from (H, W, 4) uint8 with 255 = full ink; without a profile, plain subtraction."""
    if icc and icc_space(icc) == "CMYK":
        return _by_lcms(cmyk, "CMYK", icc)
    inverse = 255 - cmyk.astype(np.uint16)
    return ((inverse[..., :3] * inverse[..., 3:] + 127) // 255).astype(np.uint8)


def rgb_from_lab(lab: Array) -> Array:
    """(H, W, 3) sRGB from Pillow's 8-bit LAB samples."""
    from PIL import ImageCms

    return _by_lcms(lab, "LAB", ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes())


def _by_lcms(samples: Array, mode: str, icc: bytes) -> Array:
    from PIL import Image, ImageCms

    size = samples.shape[1], samples.shape[0]
    image = Image.frombytes(mode, size, np.ascontiguousarray(samples).tobytes())
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        target = ImageCms.ImageCmsProfile(io.BytesIO(srgb_icc()))
        converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError) as error:
        raise BadInput(f"the ICC profile cannot be used: {error}", hint=f"use {option('profile', 'keep')}") from error
    assert converted is not None
    return np.asarray(converted)


def _tags(icc: bytes) -> dict[str, bytes]:
    """Tag bodies by signature (ICC.1:2022 §7.3)."""
    if not icc_space(icc):
        raise BadInput("the ICC profile is broken", hint=f"use {option('profile', 'keep')}")
    count = struct.unpack(">I", icc[128:132])[0]
    tags: dict[str, bytes] = {}
    for index in range(min(count, 200)):
        entry = icc[132 + 12 * index : 144 + 12 * index]
        if len(entry) == 12:
            name, offset, size = entry[:4].decode("latin-1"), *struct.unpack(">II", entry[4:])
            tags[name] = icc[offset : offset + size]
    return tags


def _xyz(body: bytes) -> Array:
    if len(body) < 20:
        raise BadInput("the ICC profile's primaries are cut short", hint=f"use {option('profile', 'keep')}")
    return np.array(struct.unpack(">3i", body[8:20])) / 65536.0


def _curve(body: bytes, x: Array) -> Array:
    """Linear light of coded values `x` by a 'curv' or 'para' tag.

    Raises:
        BadInput: a curve that is cut short or gives no numbers.
    """
    try:
        with np.errstate(all="ignore"):
            light = _curve_of(body, np.asarray(x, np.float64))
    except (struct.error, ValueError, ZeroDivisionError) as error:  # what the bytes of a broken curve give
        raise BadInput(
            f"the ICC profile has a broken curve: {error}", hint=f"use {option('profile', 'keep')}"
        ) from error
    if not np.isfinite(light).all():
        raise BadInput("the ICC profile has a curve that gives no numbers", hint=f"use {option('profile', 'keep')}")
    return light


def _curve_of(body: bytes, x: Array) -> Array:
    """See ICC.1:2022 §10.6 and §10.18."""
    if body[:4] == b"curv":
        count = struct.unpack(">I", body[8:12])[0]
        if count == 0:
            return x
        if count == 1:
            power: Array = np.maximum(x, 0) ** (struct.unpack(">H", body[12:14])[0] / 256.0)
            return power
        table = np.frombuffer(body, ">u2", count, 12) / 65535.0
        return np.interp(x, np.linspace(0, 1, count), table)
    if body[:4] == b"para":
        kind = struct.unpack(">H", body[8:10])[0]
        many = (1, 3, 4, 5, 7)[kind] if kind < 5 else 0
        p = [value / 65536.0 for value in struct.unpack(f">{many}i", body[12 : 12 + 4 * many])]
        if many:
            return _parametric(kind, p, x)
    raise ValueError("it is of an unknown kind")


def _parametric(kind: int, p: list[float], x: Array) -> Array:
    g, a, b = p[0], (p[1] if kind else 1.0), (p[2] if kind else 0.0)
    power: Array = np.maximum(a * x + b, 0) ** g
    if kind == 0:
        return power
    if kind == 1:
        return np.where(x >= -b / a, power, 0.0)
    if kind == 2:
        return np.where(x >= -b / a, power + p[3], p[3])
    c, d = p[3], p[4]
    e, f = (p[5], p[6]) if kind == 4 else (0.0, 0.0)
    return np.where(x >= d, power + e, c * x + f)
