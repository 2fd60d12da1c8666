"""Film grain: of its moment and place alone, within the range; and what the input had is found and laid back."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import PIL.Image
import pytest
from scipy.ndimage import gaussian_filter

from sr_core.backend import open_backend
from sr_core.color import FULL_RANGE_RGB, ColorSpec
from sr_core.errors import BadInput
from sr_core.frame import Array, PixelFormat, Planes, gray, rgb, yuv
from sr_core.grain import KEEP, STRONGEST, Film, check_grain, film_of, lay, lay_on_picture
from sr_core.model_spec import spec_of
from sr_core.testing import nearest_model
from sr_image.enlarge import EnlargeOptions, enlarge
from srvid.files import upscale_image
from srvid.recipe import EngineRecipe
from srvid.upscaler import Upscaler

RANDOM = np.random.default_rng(3)
FULL, STUDIO = ColorSpec(full_range=True), ColorSpec(full_range=False)
STRONG = Film(STRONGEST)
SINGLE = PixelFormat(family="gray", depth=32, is_float=True)
P010 = replace(yuv("420", 10, semiplanar=True), msb_aligned=True)


def filled(fmt: PixelFormat, share: float, side: int = 256) -> Planes:
    """Planes of one luma, in parts of what codes there are."""
    shift = 16 - fmt.depth if fmt.msb_aligned else 0
    value = share if fmt.is_float else round(share * fmt.peak) << shift
    return tuple(np.full(shape, value, fmt.dtype) for shape in fmt.plane_shapes(side, side))


@pytest.mark.parametrize("fmt", [gray(), gray(16), SINGLE, yuv("420", 10), P010, rgb(packed=True), rgb()], ids=str)
def test_its_strength_is_the_same_in_every_format(fmt: PixelFormat) -> None:
    made = filled(fmt, 0.5)
    laid = lay(STRONG, made, fmt, FULL, moment=7)
    top = 1 if fmt.is_float else fmt.peak << (16 - fmt.depth if fmt.msb_aligned else 0)
    change = (laid[0].astype(float) - made[0]) / top
    assert abs(change.std() / STRONGEST - 1) < 0.03
    assert abs(change.mean()) < STRONGEST / 20
    if fmt.family == "yuv":
        assert all(np.array_equal(a, b) for a, b in zip(laid[1:], made[1:], strict=True))
    if fmt.layout == "packed":
        assert np.ptp(laid[0], axis=2).max() == 0
    if fmt.msb_aligned:
        assert not (laid[0] & 63).any()


def test_it_fades_to_black_and_white_and_never_leaves_the_range() -> None:
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8), (256, 256))
    (laid,) = lay(Film(0.06), (ramp,), gray(), STUDIO, moment=1)
    outside = (ramp <= 16) | (ramp >= 235)
    assert np.array_equal(laid[outside], ramp[outside])
    assert laid[~outside].min() >= 16
    assert laid[~outside].max() <= 235
    strength = (laid.astype(float) - ramp).std(axis=0)
    assert strength[30] < 0.5 * strength[126]
    assert strength[225] < 0.5 * strength[126]


@pytest.mark.parametrize("fmt", [rgb(packed=True), rgb(depth=10)], ids=str)
def test_a_saturated_channel_does_not_turn_over(fmt: PixelFormat) -> None:
    red = tuple(np.zeros(shape, fmt.dtype) for shape in fmt.plane_shapes(64, 64))  # its luma is a tone that shows grain
    first = red[0][..., 0] if fmt.layout == "packed" else red[0]
    first[:] = fmt.peak
    laid = lay(Film(0.06), red, fmt, FULL, moment=1)
    assert (laid[0][..., 0] if fmt.layout == "packed" else laid[0]).min() > 0.8 * fmt.peak
    assert (laid[0][..., 1] if fmt.layout == "packed" else laid[1]).max() < 0.2 * fmt.peak
    assert not np.array_equal(laid[0], red[0])


def test_it_is_of_its_moment_and_place_alone() -> None:
    made = filled(gray(), 0.5)
    first, again, other = (lay(STRONG, made, gray(), FULL, moment=n)[0].astype(float) - 128 for n in (4, 4, 5))
    assert np.array_equal(first, again)
    assert not np.array_equal(first[:64], first[64:128]), "it is laid 64 rows at a time"
    assert abs((first * other).mean() / first.var()) < 0.05
    part = tuple(plane[:100, :90] for plane in made)
    assert np.array_equal(lay(STRONG, part, gray(), FULL, moment=4)[0].astype(float) - 128, first[:100, :90])


def noisy(strength: float, blur: float) -> tuple[Array, Array]:
    """(a soft picture with noise, the same twice as large without it)."""
    base = gaussian_filter(RANDOM.random((192, 256)), 30)
    base = 70 + 110 * (base - base.min()) / np.ptp(base)
    noise = gaussian_filter(RANDOM.standard_normal(base.shape), blur)
    given = np.round(base + strength * noise / noise.std()).astype(np.uint8)
    return given, np.round(np.kron(base, np.ones((2, 2)))).astype(np.uint8)


@pytest.mark.parametrize(("strength", "blur", "tenths"), [(3.0, 0.0, (3, 7)), (6.0, 0.0, (3, 7)), (5.0, 1.0, (14, 24))])
def test_grain_that_was_taken_away_is_found_again(strength: float, blur: float, tenths: tuple[int, int]) -> None:
    given, made = noisy(strength, blur)
    film = film_of(KEEP, (given,), (made,), gray(), FULL)
    assert 0.8 < film.strength * 255 / strength < 1.1
    assert tenths[0] <= film.tenths <= tenths[1]


def test_what_rounding_to_8_bits_makes_is_not_taken_for_grain() -> None:
    given, strengths = 0.5 + RANDOM.standard_normal((192, 256)) / 255, []
    for fmt in (gray(), gray(16)):
        made = np.full((384, 512), fmt.peak // 2, fmt.dtype)
        rounded = np.round(given * fmt.peak).astype(fmt.dtype)
        strengths.append(film_of(KEEP, (rounded,), (made,), fmt, FULL).strength)
    assert abs(strengths[0] / strengths[1] - 1) < 0.02, "a twelfth of a code's variance would be 0.04 more"


def test_grain_is_looked_for_where_it_shows_in_flat_middle_tones() -> None:
    made = np.full((64, 96), 120.0)
    made[:, :40] = 60 + np.arange(40) % 8 * 10  # steep
    made[:, 40:72] = 16  # dark: grain of any film fades there
    noise = RANDOM.standard_normal(made.shape) * 6
    noise[:, 72:] = 0
    given = np.round(made + noise).astype(np.uint8)
    large = np.kron(made, np.ones((2, 2))).astype(np.uint8)
    assert film_of(KEEP, (given,), (large,), gray(), FULL).strength == 0
    everywhere = np.round(made + RANDOM.standard_normal(made.shape) * 6).astype(np.uint8)
    assert 0.9 < film_of(KEEP, (everywhere,), (large,), gray(), FULL).strength * 255 / 6 < 1.1
    for rows, is_enough in ((40, False), (48, True)):  # 15 and 18 flat blocks
        part, of_it = everywhere[:rows, 72:], large[: 2 * rows, 144:]
        assert (film_of(KEEP, (part,), (of_it,), gray(), FULL).strength > 0) == is_enough
    loud = np.round(made + RANDOM.standard_normal(made.shape) * 25).clip(0, 255).astype(np.uint8)
    assert film_of(KEEP, (loud,), (large,), gray(), FULL).strength == 0.06
    shade = np.full((128, 128), 36, np.uint8)  # shows seven tenths of a film's grain
    film = film_of(
        KEEP, lay(Film(0.03), (shade,), gray(), FULL, moment=1), (shade.repeat(2, 0).repeat(2, 1),), gray(), FULL
    )
    assert 0.9 < film.strength / 0.03 < 1.1


def test_of_grain_that_is_partly_there_the_rest_is_laid() -> None:
    given, made = noisy(6.0, 0.0)
    half = np.round((np.kron(given, np.ones((2, 2))) + made) / 2).astype(np.uint8)
    film = film_of(KEEP, (given,), (half,), gray(), FULL)
    assert 0.85 < film.strength * 255 / np.sqrt(6.0**2 - 3.0**2) < 1.1


def test_a_clean_input_gets_none_nor_one_whose_grain_is_still_there() -> None:
    given, made = noisy(0.0, 0.0)
    assert film_of(KEEP, (given,), (made,), gray(), FULL).strength == 0
    grainy, _ = noisy(6.0, 0.0)
    assert film_of(KEEP, (grainy,), (np.kron(grainy, np.ones((2, 2), np.uint8)),), gray(), FULL).strength == 0
    detail = RANDOM.integers(0, 256, (192, 256), dtype=np.uint8)  # nothing is flat
    assert film_of(KEEP, (detail,), (np.kron(detail, np.ones((2, 2), np.uint8)),), gray(), FULL).strength == 0
    steep = np.broadcast_to(np.arange(0, 256, 8, dtype=np.uint8), (32, 32))  # not a block is flat
    assert film_of(KEEP, (steep,), (np.kron(steep, np.ones((2, 2), np.uint8)),), gray(), FULL).strength == 0
    for rows, columns in ((6, 9), (9, 6)):  # not a block
        part, large = given[:rows, :columns], made[: 2 * rows, : 2 * columns]
        assert film_of(KEEP, (part,), (large,), gray(), FULL).strength == 0


def upscaler(grain: float) -> Upscaler:
    model = nearest_model(2)
    spec = spec_of(model)
    assert spec is not None
    opened = Upscaler(model, spec, open_backend("openvino"), precision="exact", tile=64)
    opened.grain = grain
    return opened


def test_frames_in_a_sequence_have_the_grain_of_frames_alone_also_where_tiles_are_reused() -> None:
    fmt = yuv("420")
    frame = tuple(RANDOM.integers(60, 180, shape).astype(np.uint8) for shape in fmt.plane_shapes(96, 64))
    with upscaler(0.5) as engine:
        outs = [fmt.empty(192, 128) for _ in range(3)]
        futures = [engine.submit_at(moment, frame, fmt, STUDIO, outs[moment - 1]) for moment in (1, 2, 3)]
        in_order = [future.result() for future in futures]
        assert all(made is out for made, out in zip(in_order, outs, strict=True))
        assert engine.counts.reused
        out = tuple(np.empty_like(plane) for plane in in_order[0])
        assert engine.next_planes_at(2, frame, fmt, STUDIO, out) is out
        after = engine.next_planes_at(3, frame, fmt, STUDIO, fmt.empty(192, 128))
    with upscaler(0.5) as engine:
        alone = engine.submit_at(2, frame, fmt, STUDIO).result()
        plain = engine.planes(frame, fmt, STUDIO)
    for a, b, c in zip(in_order[1] + in_order[2], alone + after, out + after, strict=True):
        assert np.array_equal(a, b)
        assert np.array_equal(a, c)
    assert not np.array_equal(in_order[0][0], in_order[1][0])
    assert np.array_equal(alone[0], lay(Film(0.5 * STRONGEST), plain, fmt, STUDIO, moment=2)[0])


def test_a_picture_has_it_and_its_transparency_has_not() -> None:
    image = np.full((40, 48, 4), 120, np.uint8)
    image[:20, :, 3] = 90
    with upscaler(0.0) as engine:
        plain = engine.image(image)
        engine.grain = 1.0
        made, flat = engine.image(image), engine.image(image[..., 0])
    assert np.array_equal(made[..., 3], plain[..., 3])
    assert np.ptp(made[..., :3], axis=2).max() == 0
    assert np.array_equal(made[..., 0], flat)
    assert 5 < flat.std() < 12


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_premultiplied_colors_get_their_share_and_hidden_ones_nothing(dtype: type) -> None:
    peak = 1 if dtype is np.float32 else np.iinfo(dtype).max
    image = np.zeros((64, 96, 4), dtype)
    image[:, 32:] = peak * 2 // 5 if peak > 1 else 0.4  # white, two fifths of it
    image[:, 64:, :3] = peak // 5 if peak > 1 else 0.2
    laid = lay_on_picture(STRONG, image, is_premultiplied=True)
    assert np.array_equal(laid[:, :64], image[:, :64])
    assert np.array_equal(laid[..., 3], image[..., 3])
    gray_of_it = lay_on_picture(STRONG, np.full((64, 96), 0.5, np.float32))[:, 64:]
    assert np.abs(laid[:, 64:, 1] / peak - gray_of_it * 0.4).max() < 0.51 / 255  # but for rounding
    image[:, :32, :3] = peak / 2
    straight = lay_on_picture(STRONG, image)
    assert np.array_equal(straight[:, :32], image[:, :32])
    assert not np.array_equal(straight[:, 64:], image[:, 64:])


def test_an_image_file_has_it_in_strips_as_whole_and_each_frame_another(tmp_path: Path) -> None:
    still, film = tmp_path / "still.png", tmp_path / "film.webp"
    gray_image = PIL.Image.new("RGB", (1200, 1000), (120, 120, 120))  # 1,048,576 pixels are a strip
    gray_image.save(still)
    gray_image.resize((32, 24)).save(
        film, save_all=True, append_images=[PIL.Image.new("RGB", (32, 24), (121, 120, 120))], lossless=True
    )
    with upscaler(0.0) as engine:
        for name in ("still.png", "film.webp"):
            options = EnlargeOptions(grain=0.5, quality=100 if name == "film.webp" else None)
            enlarge(tmp_path / name, tmp_path / f"large-{name}", engine, options)
    made = np.asarray(PIL.Image.open(tmp_path / "large-still.png"))
    flat = np.full(made.shape, 120, np.uint8)
    assert np.array_equal(made, lay_on_picture(Film(0.5 * STRONGEST), flat))
    with PIL.Image.open(tmp_path / "large-film.webp") as frames:
        first = np.asarray(frames.convert("RGB")).astype(int)
        frames.seek(1)
        second = np.asarray(frames.convert("RGB")).astype(int)
    assert np.abs(first - second)[..., 1].max() > 5


def test_an_image_file_has_that_of_the_upscaler_it_is_given(tmp_path: Path) -> None:
    source, target = tmp_path / "flat.png", tmp_path / "large.png"
    PIL.Image.new("L", (40, 32), 120).save(source)
    with upscaler(0.5) as engine:
        upscale_image(source, target, upscaler=engine)
        flat = np.full((64, 80), 120, np.uint8)
        assert np.array_equal(np.asarray(PIL.Image.open(target)), lay_on_picture(Film(0.5 * STRONGEST), flat))
        engine.grain = KEEP
        upscale_image(source, target, upscaler=engine, overwrite=True)
        assert np.array_equal(np.asarray(PIL.Image.open(target)), flat), "a clean input gets none"


def test_frames_that_carry_no_time_have_grain_of_their_own() -> None:
    frames = [av.VideoFrame.from_ndarray(np.full((32, 48), 120, np.uint8), format="gray") for _ in range(3)]
    with upscaler(1.0) as engine:
        made = [frame.to_ndarray() for frame in engine.frames(frames)]
    assert all(frame.pts is None for frame in frames)
    assert not any(np.array_equal(a, b) for a, b in itertools.combinations(made, 2))


def test_what_is_neither_an_amount_nor_keep_is_refused() -> None:
    assert (check_grain("0.3"), check_grain(0), check_grain("keep")) == (0.3, 0.0, KEEP)
    for grain in (1.5, -0.1, float("nan"), True, "much", None):
        with pytest.raises(BadInput, match="or keep"):
            check_grain(grain)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="or keep"):
        EnlargeOptions(grain=1.5)
    with pytest.raises(BadInput, match="would do nothing"):
        EngineRecipe(model="nearest", grain=KEEP)


def test_frames_that_get_grain_are_asked_for_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    with upscaler(0.0) as engine:
        monkeypatch.setattr(engine.backend, "plane_device", (2, 0), raising=False)
        assert engine.device_for(gray(), 64, 48) == (2, 0)
        engine.grain = 0.1
        assert engine.device_for(gray(), 64, 48) is None


def test_an_engine_with_grain_is_another_one_to_a_job_that_goes_on() -> None:
    kind = type("Kind", (), {"format": gray(), "color": FULL_RANGE_RGB, "width": 64, "height": 48})()
    with upscaler(0.0) as engine:
        plain = engine.identity(kind)
        engine.grain = KEEP
        assert engine.identity(kind) == plain | {"grain": "keep"}
