#!/usr/bin/env python3
"""GIMP 3: Filters > Enhance > Upscale (srvid)…

    drawable.get_buffer() ─► srvid_client ─► worker ─► Gegl buffer ─► written back once all of it is there

`srkit plug install gimp` copies this file as plug-ins/srvid_upscale/srvid_upscale.py, beside
srvid_client.py and launch.json. Every option is an argument of the procedure `srvid-upscale`, so
scripts can call it. GIMP's Cancel kills this process; its socket closes, and the worker drops the job.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import gi

gi.require_version("Gimp", "3.0")
gi.require_version("GimpUi", "3.0")
gi.require_version("Gegl", "0.4")
import srvid_client as client  # noqa: E402
from gi.repository import Gegl, Gimp, GimpUi, GLib, GObject  # noqa: E402

PROCEDURE = "srvid-upscale"
STRIP_ROWS = 256
CONTEXT_PX = 32  # of the layer around a selection that the network sees
# precisions whose samples are sent as they are; all others go as float in the sRGB curve
NATIVE = {
    "u8-non-linear": "u8",
    "u8-perceptual": "u8",
    "u16-non-linear": "u16",
    "u16-perceptual": "u16",
}


class Samples:
    """In which babl format a drawable's pixels travel, and the job's fields that say so."""

    def __init__(self, drawable: Any) -> None:
        image = drawable.get_image()
        sample = NATIVE.get(image.get_precision().value_nick, "f32")
        profile = image.get_color_profile()
        if profile is not None and not profile.is_equal(Gimp.ColorProfile.new_rgb_srgb()):
            sample = "f32"  # integers would clip what lies outside sRGB
        if isinstance(drawable, Gimp.Channel):  # masks too: their values have no curve
            color, self.channels = "Y", 1
            sample = {"u8-linear": "u8", "u16-linear": "u16"}.get(image.get_precision().value_nick, sample)
        elif drawable.is_gray():
            color, self.channels = "Y'", 1
        else:
            color, self.channels = "R'G'B'", 3
        if drawable.has_alpha():
            color, self.channels = color + "A", self.channels + 1
        self.sample = sample
        self.babl = color + " " + {"f32": "float"}.get(sample, sample)

    def fields(self, width: int, height: int) -> dict[str, Any]:
        """Fields of the request for a region of this size."""
        return {"width": width, "height": height, "channels": self.channels, "sample": self.sample}


class Options:
    """What the user, or a script, chose."""

    def __init__(self, config: Any) -> None:
        own = config.get_property("model-file")
        typed = (config.get_property("models") or "").strip()
        self.model = typed or (own.get_path() if own is not None else config.get_property("model"))
        self.scale = config.get_property("scale")
        self.strength = config.get_property("strength")
        self.sharpen = config.get_property("sharpen")
        self.grain = config.get_property("grain")
        self.scope = config.get_property("scope")


class ProgressBar:
    """GIMP's progress bar over `parts` jobs, updated in steps of one per cent."""

    def __init__(self, parts: int) -> None:
        self._parts, self._part, self._shown, self._phase = parts, 0, -1.0, ""
        Gimp.progress_init("Upscale (srvid)")

    def next_part(self) -> None:
        self._part += 1

    def __call__(self, phase: str, share: float) -> None:
        if phase != self._phase:
            self._phase = phase
            Gimp.progress_set_text("srvid: " + phase)
        done = (self._part + share) / self._parts if phase == "upscaling" else self._part / self._parts
        if done - self._shown >= 0.01 or done < self._shown:
            self._shown = done
            Gimp.progress_update(done)


def enlarged(drawable: Any, options: Options, bar: ProgressBar, rect: Any = None) -> tuple[Any, Samples]:
    """(a Gegl buffer with the result, how its samples travel); nothing in the image is touched.

    Args:
        rect: a region to enhance at its own size; None enlarges all of the drawable.
    """
    samples, source = Samples(drawable), drawable.get_buffer()
    keeps_size = rect is not None
    if rect is None:
        rect = Gegl.Rectangle.new(0, 0, drawable.get_width(), drawable.get_height())
    factor = 1 if keeps_size else options.scale
    width, height = client.scaled(rect.width, factor), client.scaled(rect.height, factor)
    result = Gegl.Buffer.new(samples.babl, 0, 0, width, height)

    def rows() -> Iterator[bytes]:
        for y in range(0, rect.height, STRIP_ROWS):
            count = min(STRIP_ROWS, rect.height - y)
            strip = Gegl.Rectangle.new(rect.x, rect.y + y, rect.width, count)
            yield source.get(strip, 1.0, samples.babl, Gegl.AbyssPolicy.CLAMP)

    def put(y: int, count: int, data: bytearray) -> None:
        result.set(Gegl.Rectangle.new(0, y, width, count), samples.babl, bytes(data))

    job = dict(
        samples.fields(rect.width, rect.height),
        scale=options.scale,
        strength=options.strength,
        sharpen=options.sharpen,
        grain=options.grain,
        model=options.model,
        at_input_size=keeps_size,
    )
    client.upscale(job, rows(), put, progress=bar)
    bar.next_part()
    return result, samples


def write(drawable: Any, result: Any) -> None:
    """Replace all of a drawable's pixels; the selection does not matter.

    Where GIMP has rounded a layer's side to a pixel more, its last row or column is repeated.
    """
    extent = Gegl.Rectangle.new(0, 0, drawable.get_width(), drawable.get_height())
    target = drawable.get_buffer()
    result.copy(extent, Gegl.AbyssPolicy.CLAMP, target, extent)
    target.flush()
    drawable.update(0, 0, extent.width, extent.height)


def upscale_image(image: Any, options: Options) -> Any:
    """Enlarge the whole image, every layer on its own, in one undo step."""
    layers = [layer for layer in _all_layers(image.get_layers()) if not _draws_itself(layer)]
    masks = [layer.get_mask() for layer in _all_layers(image.get_layers()) if layer.get_mask() is not None]
    drawables = layers + masks
    bar = ProgressBar(max(len(drawables), 1))
    results = [enlarged(drawable, options, bar)[0] for drawable in drawables]
    width, height = (client.scaled(side, options.scale) for side in (image.get_width(), image.get_height()))
    image.undo_group_start()
    try:
        if len(drawables) == 1 and _is_plain(image):
            # the canvas alone: scaling pixels that are replaced anyway took 100 times as long
            (layer,) = layers
            x, y = layer.get_offsets()[1:]
            image.resize(width, height, 0, 0)
            extent = results[0].get_extent()
            layer.resize(extent.width, extent.height, 0, 0)
            layer.set_offsets(round(x * options.scale), round(y * options.scale))
        else:
            # masks, text, paths, guides and the selection follow the image's own scaling
            Gimp.context_push()
            replaced_all = not image.get_channels() and Gimp.Selection.is_empty(image)
            kinds = Gimp.InterpolationType
            Gimp.context_set_interpolation(kinds.NONE if replaced_all else kinds.CUBIC)
            image.scale(width, height)
            Gimp.context_pop()
        for drawable, result in zip(drawables, results):
            write(drawable, result)
    finally:
        image.undo_group_end()
    return image


def upscale_layer(image: Any, drawable: Any, options: Options) -> Any:
    """A new image that holds the enlarged layer, with its mask and in the same profile and precision."""
    mask = drawable.get_mask() if isinstance(drawable, Gimp.Layer) else None
    bar = ProgressBar(2 if mask else 1)
    result, _ = enlarged(drawable, options, bar)
    mask_result = enlarged(mask, options, bar)[0] if mask else None
    extent = result.get_extent()
    kind = Gimp.ImageBaseType.GRAY if drawable.is_gray() else Gimp.ImageBaseType.RGB
    new = Gimp.Image.new_with_precision(extent.width, extent.height, kind, image.get_precision())
    new.undo_disable()
    profile = image.get_color_profile()
    if profile is not None and drawable.is_gray() == profile.is_gray():
        new.set_color_profile(profile)
    resolution = image.get_resolution()
    new.set_resolution(resolution.xresolution, resolution.yresolution)
    layer_type = drawable.type() if isinstance(drawable, Gimp.Layer) else Gimp.ImageType.GRAY_IMAGE
    layer = Gimp.Layer.new(
        new, drawable.get_name(), extent.width, extent.height, layer_type, 100.0, Gimp.LayerMode.NORMAL
    )
    new.insert_layer(layer, None, 0)
    write(layer, result)
    if mask_result is not None:
        new_mask = layer.create_mask(Gimp.AddMaskType.WHITE)
        layer.add_mask(new_mask)
        write(new_mask, mask_result)
    new.undo_enable()
    return new


def enhance_selection(image: Any, drawable: Any, options: Options) -> Any:
    """Enlarge the selected part of a layer and average it back to its size, in place."""
    is_there, x, y, width, height = drawable.mask_intersect()
    if not is_there:
        raise client.WorkerError("the selection lies outside the layer", "select a part of the layer")
    left, top = max(x - CONTEXT_PX, 0), max(y - CONTEXT_PX, 0)
    right = min(x + width + CONTEXT_PX, drawable.get_width())
    bottom = min(y + height + CONTEXT_PX, drawable.get_height())
    region = Gegl.Rectangle.new(left, top, right - left, bottom - top)
    result, _ = enlarged(drawable, options, ProgressBar(1), region)
    image.undo_group_start()
    try:
        shadow = drawable.get_shadow_buffer()
        source = Gegl.Rectangle.new(x - left, y - top, width, height)
        result.copy(source, Gegl.AbyssPolicy.NONE, shadow, Gegl.Rectangle.new(x, y, width, height))
        shadow.flush()
        drawable.merge_shadow(True)  # through the selection's soft edge, and into the undo history
        drawable.update(x, y, width, height)
    finally:
        image.undo_group_end()
    return image


def _all_layers(layers: list[Any]) -> Iterator[Any]:
    for layer in layers:
        yield layer
        if layer.is_group():
            yield from _all_layers(layer.get_children())


def _draws_itself(layer: Any) -> bool:
    """Groups, text, and (GIMP 3.2) links and shapes: the image's own scaling renders them anew."""
    kinds = ("is_group_layer", "is_text_layer", "is_link_layer", "is_vector_layer")
    return any(getattr(layer, kind)() for kind in kinds if hasattr(layer, kind))


def _is_plain(image: Any) -> bool:
    """One layer and nothing else that would have to follow it."""
    layers = image.get_layers()
    return (
        len(layers) == 1
        and not layers[0].is_group()
        and layers[0].get_mask() is None
        and not layers[0].get_filters()
        and not image.get_channels()
        and not image.get_paths()
        and image.find_next_guide(0) == 0
        and Gimp.Selection.is_empty(image)
    )


def run(procedure: Any, run_mode: Any, image: Any, drawables: list[Any], config: Any, _data: Any) -> Any:
    """The procedure: dialog, job, result."""
    is_interactive = run_mode == Gimp.RunMode.INTERACTIVE
    if is_interactive:
        GimpUi.init(PROCEDURE)
        dialog = GimpUi.ProcedureDialog.new(procedure, config, "Upscale (srvid)")
        dialog.fill(None)
        accepted = dialog.run()
        dialog.destroy()
        if not accepted:
            return procedure.new_return_values(Gimp.PDBStatusType.CANCEL, GLib.Error())
    Gegl.init(None)
    options = Options(config)
    try:
        if image.get_floating_sel() is not None:
            raise client.WorkerError("there is a floating selection", "anchor it first: Layer > Anchor Layer")
        if options.scope == "image":
            result = upscale_image(image, options)
        elif len(drawables) != 1:
            raise client.WorkerError(
                f"{len(drawables)} layers are selected", "select one layer, or choose the whole image"
            )
        elif options.scope == "layer":
            result = upscale_layer(image, drawables[0], options)
        else:
            result = enhance_selection(image, drawables[0], options)
    except client.WorkerError as error:
        return procedure.new_return_values(
            Gimp.PDBStatusType.EXECUTION_ERROR, GLib.Error("Upscale (srvid): " + str(error))
        )
    if is_interactive and result != image:
        Gimp.Display.new(result)
    Gimp.displays_flush()
    Gimp.progress_end()
    values = procedure.new_return_values(Gimp.PDBStatusType.SUCCESS, GLib.Error())
    values.remove(1)
    values.insert(1, GObject.Value(Gimp.Image, result))
    return values


class SrvidUpscale(Gimp.PlugIn):  # type: ignore[misc]
    """What GIMP asks when it looks for plug-ins."""

    def do_set_i18n(self, _name: str) -> bool:
        return False

    def do_query_procedures(self) -> list[str]:
        return [PROCEDURE]

    def do_create_procedure(self, name: str) -> Any:
        procedure = Gimp.ImageProcedure.new(self, name, Gimp.PDBProcType.PLUGIN, run, None)
        procedure.set_image_types("RGB*, GRAY*")
        procedure.set_sensitivity_mask(Gimp.ProcedureSensitivityMask.DRAWABLE | Gimp.ProcedureSensitivityMask.DRAWABLES)
        procedure.set_menu_label("_Upscale (srvid)...")
        procedure.add_menu_path("<Image>/Filters/Enhance")
        procedure.set_documentation(
            "Enlarge with a neural network",
            "Enlarges the image, a layer, or enhances the selection, with srvid (srkit serve). "
            "Depth, color_space profile and transparency are kept.",
            name,
        )
        procedure.set_attribution("The srvid authors", "The srvid authors", "2026")
        flags = GObject.ParamFlags.READWRITE
        models = client.model_names()
        choice = Gimp.Choice.new()
        for index, model in enumerate(models):
            choice.add(model, index, model, "")
        procedure.add_choice_argument("model", "_Model", "A model of srvid", choice, models[0], flags)
        procedure.add_file_argument(
            "model-file",
            "_Own model",
            "An .onnx, .safetensors, .pth or .param file instead",
            Gimp.FileChooserAction.OPEN,
            True,
            None,
            flags,
        )
        procedure.add_string_argument(
            "models",
            "Se_veral models",
            "Instead of both: names and files after each other, as in clean.pth,clear",
            "",
            flags,
        )
        procedure.add_double_argument("scale", "_Scale", "How many times as large, 1.5 too", 1.0, 16.0, 2.0, flags)
        strength = "That much of the model, the rest of clear"
        procedure.add_double_argument("strength", "S_trength", strength, 0.0, 1.0, 1.0, flags)
        procedure.add_double_argument("sharpen", "S_harpen", "How much luma is sharpened", 0.0, 1.0, 0.0, flags)
        procedure.add_double_argument("grain", "_Grain", "How much film grain to lay over it", 0.0, 1.0, 0.0, flags)
        scope = Gimp.Choice.new()
        scope.add("image", 0, "Whole image", "Every layer, mask and the canvas")
        scope.add("layer", 1, "Layer to new image", "The selected layer, as an image of its own")
        scope.add("selection", 2, "Enhance selection in place", "Enlarged, then reduced to its size")
        procedure.add_choice_argument("scope", "Sco_pe", "What to enlarge", scope, "image", flags)
        procedure.add_image_return_value("result", "Result", "The enlarged image", False, flags)
        return procedure


if __name__ == "__main__":
    Gimp.main(SrvidUpscale.__gtype__, sys.argv)
