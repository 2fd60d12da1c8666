"""The small files that are damaged, made by code: every container, image format, model and record.

Each is a few kilobytes: a mutation then hits something that matters, and a case takes milliseconds.
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image, ImageCms, PngImagePlugin

from sr_core.frame import Array
from sr_video.native import keep_scheduling
from tests.fuzz.model_seeds import MODELS, TORCH_SEEDS

SIZE = 24, 16  # of images and videos
FRAMES = 6


def make_seeds(folder: Path, *, with_torch: bool) -> None:
    """Write every seed as `folder`/KIND/NAME. Codecs that this build lacks are left out, and said."""
    for kind, makers in SEEDS.items():
        place = folder / kind
        place.mkdir(parents=True, exist_ok=True)
        for name, make in sorted(makers.items()):
            path = place / name
            if path.exists() or (not with_torch and name in TORCH_SEEDS):
                continue
            try:
                path.write_bytes(make())
            except (av.FFmpegError, OSError, ImportError, KeyError) as error:
                print(f"no seed {name}: {error}")
                path.unlink(missing_ok=True)


def picture(index: int = 0, channels: int = 3, dtype: str = "uint8") -> Array:
    """A picture that moves with `index`, alpha never 0."""
    width, height = SIZE
    y, x = np.mgrid[0:height, 0:width]
    planes = [x * 9 + index * 20, y * 15, (x + y) * 6 + index * 5, 255 - x]
    eight = np.stack([plane % 256 for plane in planes[: channels if channels > 2 else 4]], axis=-1).astype(np.uint8)
    eight = eight if channels > 2 else eight[..., [0, 3]][..., :channels]
    if dtype == "uint8":
        return eight
    return (eight.astype(np.uint16) * 257) if dtype == "uint16" else (eight / np.float32(255)).astype(dtype)


# ---- videos

_EXACT = {"fflags": "+bitexact"}


def _video(
    container: str, codec: str, pix_fmt: str = "yuv420p", *, sound: str = "", subtitles: str = "", extras: bool = False,
    options: dict[str, str] | None = None, fps: int = 25, size: tuple[int, int] = (32, 32),
) -> Callable[[], bytes]:  # fmt: skip
    def make() -> bytes:
        target = io.BytesIO()
        target.name = f"seed.{container}"  # type: ignore[misc]
        kind = {"mkv": "matroska", "ts": "mpegts", "mpg": "mpeg", "m2v": "mpeg2video", "y4m": "yuv4mpegpipe"}
        with keep_scheduling(), av.open(target, "w", format=kind.get(container, container), options=_EXACT) as out:
            video = out.add_stream(codec, rate=fps, options={"threads": "1", **(options or {})})
            assert isinstance(video, av.VideoStream)
            video.width, video.height, video.pix_fmt, video.gop_size = *size, pix_fmt, 3
            video.codec_context.time_base = Fraction(1, fps)
            voice = out.add_stream(sound, rate=48000) if sound else None
            if voice is not None and sound in ("mp2", "aac", "libopus", "wmav2", "pcm_s16le", "pcm_s16be", "flac"):
                voice.codec_context.layout = "stereo"  # type: ignore[attr-defined]
            if extras:
                out.metadata.update({"title": "a title", "comment": "a comment"})
                video.metadata["language"] = "eng"
                out.set_chapters(
                    [{"id": 1, "start": 0, "end": 100, "time_base": Fraction(1, 1000), "metadata": {"title": "one"}}]
                )
                if container == "mkv":
                    out.add_attachment("note.txt", "text/plain", b"attached")
            out.start_encoding()
            for index in range(FRAMES):
                image = np.ascontiguousarray(np.resize(picture(index), (size[1], size[0], 3)))
                frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pix_fmt)
                frame.pts, frame.time_base = index, Fraction(1, fps)
                out.mux(video.encode(frame))
            out.mux(video.encode(None))
            if voice is not None:
                _sing(out, voice)
        return target.getvalue()

    return make


def _sing(out: Any, voice: Any) -> None:
    """A quarter of a second of sound."""
    context = voice.codec_context
    kind = "s16" if context.format is None else context.format.name
    channels = context.layout.nb_channels
    tone = (np.sin(np.arange(12000) / 20) * 8000).astype(np.int16)
    sample = av.AudioFrame.from_ndarray(np.repeat(tone, channels)[None], format="s16", layout=context.layout.name)
    sample.sample_rate, sample.pts, sample.time_base = 48000, 0, Fraction(1, 48000)
    resampler = av.AudioResampler(format=kind, layout=context.layout, rate=48000, frame_size=context.frame_size or 0)
    for piece in (*resampler.resample(sample), *resampler.resample(None)):
        out.mux(voice.encode(piece))
    out.mux(voice.encode(None))


_FAST = {"preset": "ultrafast"}
VIDEOS: dict[str, Callable[[], bytes]] = {
    "h264-aac.mp4": _video("mp4", "libx264", sound="aac", extras=True, options=_FAST),
    "h264-b.mp4": _video("mp4", "libx264", options={"preset": "veryfast", "bf": "2"}),
    "h264-fragments.mp4": _video("ismv", "libx264", options=_FAST),
    "h264-pcm.mov": _video("mov", "libx264", sound="pcm_s16be", extras=True, options=_FAST),
    "prores.mov": _video("mov", "prores_ks", "yuv422p10le"),
    "rle.mov": _video("mov", "qtrle", "rgb24"),
    "h264-all.mkv": _video("mkv", "libx264", sound="flac", extras=True, options={"preset": "veryfast", "bf": "2"}),
    "ffv1.mkv": _video("mkv", "ffv1"),
    "vp9-opus.webm": _video("webm", "libvpx-vp9", sound="libopus", extras=True, options={"deadline": "realtime"}),
    "vp8.webm": _video("webm", "libvpx", options={"deadline": "realtime"}),
    "mpeg4-mp3.avi": _video("avi", "mpeg4", sound="mp2", extras=True),
    "mjpeg.avi": _video("avi", "mjpeg", "yuvj420p"),
    "raw.avi": _video("avi", "rawvideo", "bgr24"),
    "mpeg2.ts": _video("ts", "mpeg2video", sound="mp2"),
    "h264.ts": _video("ts", "libx264", sound="aac", options=_FAST),
    "mpeg2.mpg": _video("mpg", "mpeg2video", sound="mp2"),
    "mpeg2.vob": _video("vob", "mpeg2video"),
    "vp8.ogv": _video("ogg", "libvpx", options={"deadline": "realtime"}),
    "flv1.flv": _video("flv", "flv", extras=True),
    "h264.flv": _video("flv", "libx264", options=_FAST),
    "wmv2.wmv": _video("asf", "wmv2", extras=True),
    "h263.3gp": _video("3gp", "h263", size=(128, 96)),
    "mpeg2.mxf": _video("mxf", "mpeg2video"),
    "ffv1.nut": _video("nut", "ffv1", sound="pcm_s16le"),
    "raw.y4m": _video("y4m", "wrapped_avframe"),
    "h264.h264": _video("h264", "libx264", options={"preset": "veryfast", "bf": "1"}),
    "hevc.hevc": _video("hevc", "libx265", options={"preset": "ultrafast", "x265-params": "log-level=none:pools=none"}),
    "mpeg2.m2v": _video("m2v", "mpeg2video"),
    "vp9.ivf": _video("ivf", "libvpx-vp9", options={"deadline": "realtime"}),
    "av1.mp4": _video("mp4", "libsvtav1", options={"preset": "12", "svtav1-params": "lp=1"}, size=(64, 64)),
    "moving.gif": _video("gif", "gif", "rgb8"),
}


# ---- images


def _pillow(kind: str, mode: str = "RGB", **options: Any) -> Callable[[], bytes]:
    def make() -> bytes:
        target = io.BytesIO()
        _image(mode).save(target, kind, **{key: _filled(value) for key, value in options.items()})
        return target.getvalue()

    return make


def _filled(value: Any) -> Any:
    return value() if callable(value) else value


def _image(mode: str, index: int = 0) -> Image.Image:
    if mode in ("L", "LA", "RGB", "RGBA"):
        return Image.fromarray(np.ascontiguousarray(picture(index, len(mode)).squeeze()), mode)
    if mode == "I;16":
        return Image.fromarray(picture(index, 1, "uint16")[..., 0])
    if mode == "F":
        return Image.fromarray(picture(index, 1, "float32")[..., 0])
    return Image.fromarray(picture(index)).convert(mode)


def _animation(kind: str, mode: str = "RGB", **options: Any) -> Callable[[], bytes]:
    def make() -> bytes:
        target = io.BytesIO()
        images = [_image(mode, index) for index in range(3)]
        images[0].save(target, kind, save_all=True, append_images=images[1:], **options)
        return target.getvalue()

    return make


def _exif() -> bytes:
    exif = Image.Exif()
    exif.update({0x0112: 6, 0x010F: "maker", 0x011A: 72.0, 0x011B: 72.0, 0x0128: 2})
    exif.get_ifd(0x8769)[0xA002] = SIZE[0]
    exif.get_ifd(0x8769)[0x927C] = b"maker note" * 4
    return exif.tobytes()


_XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="1" tiff:ImageWidth="24"/>'
    b"</rdf:RDF></x:xmpmeta>"
)


def _icc() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _full_png() -> bytes:
    """A PNG with every chunk that srvid reads."""
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "a title")
    info.add_itxt("XML:com.adobe.xmp", _XMP.decode())
    info.add(b"gAMA", struct.pack(">I", 45455))
    info.add(b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000))
    info.add(b"sRGB", b"\0")
    info.add(b"cICP", bytes([1, 13, 0, 1]))
    target = io.BytesIO()
    _image("RGB").save(target, "PNG", pnginfo=info, exif=_exif(), dpi=(72, 72))
    return target.getvalue()


# first row, first column, row step, column step of each pass (PNG §8.2)
_ADAM7 = (
    (0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1),
)  # fmt: skip


def _interlaced_png() -> bytes:
    """An Adam7 PNG, which Pillow does not write."""
    pixels, rows = picture(), b""
    for top, left, down, right in _ADAM7:
        rows += b"".join(b"\0" + row.tobytes() for row in pixels[top::down, left::right])
    head = struct.pack(">IIBBBBB", *SIZE, 8, 2, 0, 0, 1)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def _tiff(**options: Any) -> Callable[[], bytes]:
    def make() -> bytes:
        import tifffile

        target = io.BytesIO()
        kind = options.pop("dtype", "uint8")
        channels = options.pop("channels", 3)
        pages = options.pop("pages", 1)
        with tifffile.TiffWriter(target, bigtiff=options.pop("bigtiff", False)) as out:
            for index in range(pages):
                photometric = "rgb" if channels > 2 else "minisblack"
                out.write(picture(index, channels, kind).squeeze(), photometric=photometric, metadata=None, **options)
        return target.getvalue()

    return make


def _own(kind: str, channels: int = 3, dtype: str = "uint8") -> Callable[[], bytes]:
    """Formats that only srvid's own writers make here."""

    def make() -> bytes:
        from tempfile import TemporaryDirectory

        from sr_image.formats.writer import write_image
        from sr_image.metadata.carried import Frame, Header, Metadata

        with TemporaryDirectory() as folder:
            path = Path(folder, f"seed.{kind}")
            alpha = "none" if channels in (1, 3) else "premultiplied" if kind == "exr" else "straight"
            header = Header(
                format=kind, width=SIZE[0], height=SIZE[1], channels=channels, dtype=dtype, alpha=alpha  # type: ignore[arg-type]
            )  # fmt: skip
            attributes = (("owner", "string", "me"),) if kind == "exr" else ()
            meaning = Metadata(exif=_exif()[6:], xmp=_XMP) if kind != "exr" else Metadata(attributes=attributes)
            write_image(path, header, meaning, [Frame([picture(0, channels, dtype)])])
            return path.read_bytes()

    return make


IMAGES: dict[str, Callable[[], bytes]] = {
    "rgb.png": _pillow("PNG"),
    "rgba.png": _pillow("PNG", "RGBA"),
    "gray.png": _pillow("PNG", "L"),
    "bits.png": _pillow("PNG", "1"),
    "gray16.png": _pillow("PNG", "I;16"),
    "palette.png": _pillow("PNG", "P", transparency=3),
    "full.png": _full_png,
    "profile.png": _pillow("PNG", icc_profile=_icc),
    "interlaced.png": _interlaced_png,
    "moving.png": _animation("PNG", "RGBA", duration=40, loop=2),
    "hidden.png": _animation("PNG", default_image=True, duration=40),
    "rgb.jpg": _pillow("JPEG", exif=_exif, dpi=(72, 72), comment=b"a comment"),
    "progressive.jpg": _pillow("JPEG", progressive=True, icc_profile=_icc),
    "gray.jpg": _pillow("JPEG", "L"),
    "cmyk.jpg": _pillow("JPEG", "CMYK"),
    "xmp.jpg": _pillow("JPEG", xmp=_XMP),
    "pair.jpg": _animation("MPO"),
    "lossy.webp": _pillow("WEBP", "RGBA", exif=_exif, xmp=_XMP),
    "lossless.webp": _pillow("WEBP", lossless=True),
    "moving.webp": _animation("WEBP", duration=40, lossless=True),
    "plain.tif": _tiff(),
    "deflate.tif": _tiff(compression="zlib", predictor=True),
    "lzw.tif": _pillow("TIFF", compression="tiff_lzw"),
    "jpeg.tif": _pillow("TIFF", compression="jpeg"),
    "packbits.tif": _pillow("TIFF", "L", compression="packbits"),
    "fax.tif": _pillow("TIFF", "1", compression="group4"),
    "palette.tif": _pillow("TIFF", "P"),
    "cmyk.tif": _pillow("TIFF", "CMYK"),
    "lab.tif": _pillow("TIFF", "RGB", exif=_exif),
    "gray16.tif": _tiff(dtype="uint16", channels=1),
    "float.tif": _tiff(dtype="float32"),
    "tiles.tif": _tiff(tile=(16, 16), compression="zlib"),
    "pages.tif": _tiff(pages=3),
    "big.tif": _tiff(bigtiff=True),
    "rgba.tif": _tiff(channels=4, extrasamples=["unassalpha"]),
    "rgb.bmp": _pillow("BMP"),
    "palette.bmp": _pillow("BMP", "P"),
    "bits.bmp": _pillow("BMP", "1"),
    "still.gif": _pillow("GIF"),
    "moving.gif": _animation("GIF", duration=40, loop=0),
    "still.avif": _pillow("AVIF", exif=_exif),
    "moving.avif": _animation("AVIF", duration=40),
    "still.heic": _own("heic"),
    "half.exr": _own("exr", 3, "float16"),
    "float.exr": _own("exr", 4, "float32"),
    "still.jxl": _own("jxl"),
    "deep.jxl": _own("jxl", 4, "uint16"),
}


SEEDS = {"video": VIDEOS, "image": IMAGES, "model": MODELS}


# ---- requests to `srkit serve`

REQUESTS: tuple[dict[str, Any], ...] = (
    {"do": "status"},
    {"do": "upscale", "width": 6, "height": 4, "channels": 3, "sample": "u8", "scale": 2, "model": "clear"},
    {
        "do": "upscale", "width": 3, "height": 3, "channels": 4, "sample": "f32", "scale": 2, "model": "clear",
        "backend": "auto", "tile": 64, "order": "bgr", "transfer": "linear", "alpha": "premultiplied",
        "at_input_size": True,
    },
)  # fmt: skip


def request_bytes(request: dict[str, Any], token: str) -> bytes:
    """A client's side of the conversation: the job and, for `upscale`, its rows."""
    body = json.dumps({**request, "protocol": 1, "token": token}).encode()
    frames = struct.pack("<cQ", b"J", len(body)) + body
    if request["do"] == "upscale":
        size = request["width"] * request["height"] * request["channels"] * {"u8": 1, "f32": 4}[request["sample"]]
        frames += struct.pack("<cQ", b"R", size) + bytes(size)
    return frames
