"""What is read from a Krita document, sent to the worker, and written back.

    read_parts (main thread) ─► enlarge (any thread: sockets only) ─► apply (main thread)

Nothing in the document changes before `apply`, so a cancelled or failed job leaves it untouched.
No windows here: kritarunner can use this module.
"""

from __future__ import annotations

from typing import Any, Iterator

from krita import Krita
from srvid_upscale import srvid_client as client

try:
    from PyQt5.QtCore import QByteArray
except ImportError:  # Krita 6
    from PyQt6.QtCore import QByteArray

SCOPES = ("image", "layer", "selection")
CONTEXT_PX = 32  # around a selection or a small layer, for the network to see
SAMPLES = {"U8": "u8", "U16": "u16", "F16": "f16", "F32": "f32"}
CODES: dict[str, Any] = {"U8": "B", "U16": "H", "F16": "e", "F32": "f"}  # of memoryview.cast
CHANNELS = {"RGBA": 4, "GRAYA": 2}
LINEAR_MARKS = ("-g10", "linear")  # in the names of Krita's linear profiles


class Options:
    """What the user, or a script, chose; `model` is a name, the path of a file, or several after each other."""

    def __init__(
        self,
        model: str = client.DEFAULT_MODEL,
        scale: float = 2,
        scope: str = "image",
        strength: float = 1.0,
        sharpen: float = 0.0,
        grain: float = 0.0,
    ) -> None:
        if scope not in SCOPES:
            raise client.WorkerError(f"unknown scope {scope!r}", "one of: " + ", ".join(SCOPES))
        self.model, self.scale, self.scope = model, scale, scope
        self.strength, self.sharpen, self.grain = strength, sharpen, grain


class Part:
    """A rectangle of one layer: its pixels, and what they become."""

    def __init__(self, node: Any, rect: tuple[int, int, int, int]) -> None:
        self.node, self.rect = node, rect
        self.model, self.depth, self.profile = node.colorModel(), node.colorDepth(), node.colorProfile()
        if self.model not in CHANNELS:
            raise client.WorkerError(
                f"layer {node.name()!r} is {self.model}, and only RGB and grayscale can be enlarged",
                "Image > Convert Image Color Space...",
            )
        if node.locked():
            raise client.WorkerError(f"layer {node.name()!r} is locked", "unlock it in the layer docker")
        if node.animated():
            raise client.WorkerError(f"layer {node.name()!r} is animated", "enlarge its frames one by one")
        self.pixels = bytes(node.pixelData(*rect))
        self.result: bytearray = bytearray()

    @property
    def pixel_bytes(self) -> int:
        return CHANNELS[self.model] * int(client.BYTES_PER_SAMPLE[SAMPLES[self.depth]])

    def request(self, options: Options) -> dict[str, Any]:
        """The job for this part. Integers come as BGRA, floats as RGBA."""
        is_linear = any(mark in self.profile.lower() for mark in LINEAR_MARKS)
        return {
            "width": self.rect[2],
            "height": self.rect[3],
            "channels": CHANNELS[self.model],
            "sample": SAMPLES[self.depth],
            "order": "bgr" if self.depth in ("U8", "U16") else "rgb",
            "transfer": "linear" if is_linear else "encoded",
            "model": options.model,
            "scale": options.scale,
            "strength": options.strength,
            "sharpen": options.sharpen,
            "grain": options.grain,
            "at_input_size": options.scope == "selection",
        }


def read_parts(document: Any, node: Any, options: Options) -> list[Part]:
    """The pixels that `options.scope` takes from `document`. On the main thread.

    Args:
        node: the selected layer; not needed for the whole image.

    Raises:
        WorkerError: nothing to enlarge, or a kind of layer or colour that cannot be.
    """
    document.waitForDone()
    canvas = (0, 0, document.width(), document.height())
    if options.scope == "image":
        parts = []
        for layer in paint_layers(document.topLevelNodes()):
            rect = _layer_rect(layer, canvas)
            if rect is not None:
                parts.append(Part(layer, rect))
        if not parts:
            raise client.WorkerError("the image has no painted layer", "select a file or vector layer's copy")
        return parts
    if node is None or node.type() != "paintlayer":
        raise client.WorkerError("the selected layer is not a paint layer", "select a paint layer")
    if options.scope == "layer":
        rect = _layer_rect(node, canvas)
        if rect is None:
            raise client.WorkerError(f"layer {node.name()!r} is empty", "select another layer")
        return [Part(node, rect)]
    selection = document.selection()
    if selection is None or not selection.width() or not selection.height():
        raise client.WorkerError("nothing is selected", "select a part of the image, or choose another scope")
    wanted = (selection.x(), selection.y(), selection.width(), selection.height())
    inside = _intersect(wanted, canvas)
    if inside is None:
        raise client.WorkerError("the selection lies outside the image", "select a part of the image")
    return [Part(node, _widen(inside, canvas))]


def enlarge(parts: list[Part], options: Options, progress: Any, cancelled: Any) -> None:
    """Fill every part's `result`. On any thread.

    Raises:
        WorkerError, JobCancelled: from the client; the document is as it was.
    """
    total, before = sum(len(part.pixels) for part in parts), 0
    for part in parts:
        request = part.request(options)
        result = bytearray()

        def put(y: int, count: int, rows: bytearray, result: bytearray = result) -> None:
            result += rows

        def report(phase: str, share: float, before: int = before, size: int = len(part.pixels)) -> None:
            share = share if phase == "upscaling" else 0.0
            progress(phase, (before + share * size) / total)

        client.upscale(request, [part.pixels], put, progress=report, cancelled=cancelled)
        part.result = result
        before += len(part.pixels)


def apply(document: Any, parts: list[Part], options: Options) -> Any:
    """Write the results; returns the document that holds them. On the main thread."""
    if options.scope == "layer":
        return _new_document(document, parts[0], options)
    if options.scope == "selection":
        mask = bytes(document.selection().pixelData(*parts[0].rect))
        part = parts[0]
        mixed = mix_by_mask(part.pixels, part.result, mask, part.pixel_bytes, CODES[part.depth])
        _replace(document, part.node, mixed, part.rect)
    else:
        _enlarge_canvas(document, parts, options)
        for part in parts:
            x, y = (round(value * options.scale) for value in part.rect[:2])
            _replace(document, part.node, part.result, (x, y, *_size_of(part, options)))
    document.refreshProjection()
    document.waitForDone()
    return document


def paint_layers(nodes: list[Any]) -> Iterator[Any]:
    """Every paint layer below `nodes`."""
    for node in nodes:
        if node.type() == "paintlayer":
            yield node
        yield from paint_layers(node.childNodes())


def _all_nodes(nodes: list[Any]) -> Iterator[Any]:
    for node in nodes:
        yield node
        yield from _all_nodes(node.childNodes())


def _enlarge_canvas(document: Any, parts: list[Part], options: Options) -> None:
    width, height = (client.scaled(side, options.scale) for side in (document.width(), document.height()))
    nodes = list(_all_nodes(document.topLevelNodes()))
    covers_all = parts[0].rect == (0, 0, document.width(), document.height())
    if len(nodes) == 1 and covers_all and document.selection() is None:
        # the canvas alone: scaling pixels that are replaced anyway took 200 times as long
        document.resizeImage(0, 0, width, height)
    else:
        # masks, vectors, guides and the selection follow the document's own scaling
        is_painted = all(node.type() in ("paintlayer", "grouplayer") for node in nodes)
        filter_name = "Box" if is_painted else "Bicubic"
        dots = int(document.resolution())
        document.scaleImage(width, height, dots, dots, filter_name)
    document.waitForDone()


def _size_of(part: Part, options: Options) -> tuple[int, int]:
    """(width, height) of what a part becomes."""
    return client.scaled(part.rect[2], options.scale), client.scaled(part.rect[3], options.scale)


def _new_document(document: Any, part: Part, options: Options) -> Any:
    width, height = _size_of(part, options)
    name = part.node.name()
    new = Krita.instance().createDocument(
        width, height, name, part.model, part.depth, part.profile, float(document.resolution())
    )
    layers = new.topLevelNodes()
    layer = layers[-1] if layers else new.createNode(name, "paintlayer")
    if not layers:
        new.rootNode().addChildNode(layer, None)
    layer.setName(name)
    layer.setPixelData(QByteArray(bytes(part.result)), 0, 0, width, height)
    new.refreshProjection()
    new.waitForDone()
    return new


def mix_by_mask(old: bytes, new: bytearray, mask: bytes, pixel_bytes: int, code: Any) -> bytearray:
    """`new` where `mask` is 255, `old` where it is 0, a mixture between; one mask byte a pixel."""
    mixed = bytearray(old)
    samples = memoryview(mixed).cast(code)
    fresh = memoryview(new).cast(code)
    count = pixel_bytes // (len(mixed) // len(samples))
    start = 0
    while start < len(mask):
        value = mask[start]
        stop = start + 1
        if value in (0, 255):
            other = mask.find(bytes([0 if value else 255]), start)
            stop = len(mask) if other < 0 else other
            run = mask[start:stop]
            stop = start + len(run) - len(run.lstrip(bytes([value])))
            if value:
                mixed[start * pixel_bytes : stop * pixel_bytes] = new[start * pixel_bytes : stop * pixel_bytes]
        else:
            for index in range(start * count, stop * count):
                blend = samples[index] + (fresh[index] - samples[index]) * value / 255
                samples[index] = blend if code in "ef" else int(blend + 0.5)
        start = stop
    return mixed


def _replace(document: Any, node: Any, data: bytearray, rect: tuple[int, ...]) -> None:
    """Put a copy of `node` with these pixels in its place.

    setPixelData cannot be undone, but adding and removing layers can: so the pixels are set while
    the copy is not yet part of the document.
    """
    copy = node.duplicate()
    copy.setName(node.name())
    copy.setPixelData(QByteArray(bytes(data)), *rect)
    node.parentNode().addChildNode(copy, node)
    node.remove()
    document.setActiveNode(copy)


def _layer_rect(layer: Any, canvas: tuple[int, int, int, int]) -> tuple[int, int, int, int] | None:
    """What of a layer is sent: what is painted, with transparent context up to the canvas's edge."""
    bounds = layer.bounds()
    if bounds.isEmpty():
        return None
    painted = (bounds.x(), bounds.y(), bounds.width(), bounds.height())
    left, top = min(painted[0], 0), min(painted[1], 0)
    right = max(painted[0] + painted[2], canvas[2])
    bottom = max(painted[1] + painted[3], canvas[3])
    return _widen(painted, (left, top, right - left, bottom - top))


def _intersect(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> tuple[int, int, int, int] | None:
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right = min(one[0] + one[2], other[0] + other[2])
    bottom = min(one[1] + one[3], other[1] + other[3])
    return (left, top, right - left, bottom - top) if right > left and bottom > top else None


def _widen(rect: tuple[int, int, int, int], limit: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    wide = (rect[0] - CONTEXT_PX, rect[1] - CONTEXT_PX, rect[2] + 2 * CONTEXT_PX, rect[3] + 2 * CONTEXT_PX)
    return _intersect(wide, limit) or rect
