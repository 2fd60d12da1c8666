"""The dock widget: choose a layer, model and scale; the new layer lies exactly over the old one."""

from __future__ import annotations

from collections.abc import Generator
from fractions import Fraction
from typing import Any

import numpy as np

from sr_core.errors import Cancelled, SrError
from sr_core.frame import Array
from sr_plugins.client import scaled
from sr_plugins.hangup import Cancellation
from sr_plugins.hosts.napari.planes import enlarge_planes
from sr_plugins.strips import CancellableUpscaler
from sr_zoo.models import DEFAULT_MODEL


def make_widget() -> Any:
    """What napari calls for the command of napari.yaml."""
    from magicgui.widgets import ComboBox, Container, FileEdit, FloatSpinBox, LineEdit, PushButton, create_widget
    from napari.layers import Image

    from sr_zoo.models import families

    class Upscale(Container):  # type: ignore[misc]
        """Rows of the panel; `worker` is the job under way."""

        def __init__(self) -> None:
            names = list(families())
            self.layer = create_widget(label="layer", annotation=Image)
            self.model = ComboBox(label="model", choices=names, value=DEFAULT_MODEL)
            self.model_file = FileEdit(label="own model", nullable=True, filter="*.onnx *.safetensors *.pth *.param")
            self.models = LineEdit(label="or several", tooltip="after each other: clean.pth,clear")
            self.scale = FloatSpinBox(label="scale", min=1, max=16, step=0.5, value=2)
            self.strength = FloatSpinBox(
                label="strength", min=0, max=1, step=0.05, value=1, tooltip="that much of the model, the rest of clear"
            )
            self.sharpen = FloatSpinBox(
                label="sharpen", min=0, max=1, step=0.05, value=0, tooltip="how much luma is sharpened"
            )
            self.grain = FloatSpinBox(
                label="grain", min=0, max=1, step=0.05, value=0, tooltip="how much film grain is laid over it"
            )
            self.run = PushButton(text="Upscale")
            self.cancel = PushButton(text="Cancel", enabled=False)
            self.worker: Any = None
            choices = [
                self.layer,
                self.model,
                self.model_file,
                self.models,
                self.scale,
                self.strength,
                self.sharpen,
                self.grain,
            ]
            super().__init__(widgets=[*choices, self.run, self.cancel])
            self.run.clicked.connect(self.start)
            self.cancel.clicked.connect(self.stop)

        def start(self) -> None:
            """Begin a job with the chosen layer."""
            if self.layer.value is None or self.worker is not None:
                return
            own = str(self.model_file.value) if self.model_file.value else self.model.value
            model = self.models.value.strip() or own
            worker = self.worker = start_job(
                self.layer.value,
                model=model,
                scale=self.scale.value,
                strength=self.strength.value,
                sharpen=self.sharpen.value,
                grain=self.grain.value,
            )
            worker.finished.connect(lambda: self.ended(worker))
            self.run.enabled, self.cancel.enabled = False, True
            worker.start()

        def stop(self) -> None:
            """Stop the job; its thread ends with the tiles that are under way, and adds nothing."""
            if self.worker is not None:
                self.worker.quit()
                self.ended(self.worker)

        def ended(self, worker: Any) -> None:
            """The job is done, failed or stopped."""
            if worker is self.worker:
                self.worker = None
                self.run.enabled, self.cancel.enabled = True, False

    return Upscale()


def start_job(
    layer: Any, *, model: str, scale: float, strength: float = 1.0, sharpen: float = 0.0, grain: float = 0.0
) -> Any:
    """A napari worker that enlarges `layer` and adds the result to the viewer that shows it."""
    from napari import current_viewer
    from napari.qt.threading import GeneratorWorker, thread_worker
    from napari.utils import progress
    from napari.utils.notifications import show_error

    import srvid
    from srvid.model_choice import engine_scale

    viewer, bar = current_viewer(), progress(total=1000, desc=f"upscaling {layer.name}")
    data, is_rgb, name = layer.data[0] if layer.multiscale else layer.data, layer.rgb, layer.name
    sides = data.shape[-3:-1] if is_rgb else data.shape[-2:]
    kwargs = place_like(layer, tuple(scaled(side, scale) / side for side in sides))

    class Job(GeneratorWorker):  # type: ignore[misc]
        """Stops within a plane too: when the user cancels, and when napari closes."""

        cancellation = Cancellation()

        def quit(self) -> None:
            self.cancellation.set("the job was cancelled")
            super().quit()

    failures: list[SrError] = []  # not raised, nor returned: napari would show a traceback

    def work() -> Generator[float, None, Array | None]:
        try:
            opened = engine_scale(model, Fraction(str(scale)))
            with srvid.open_upscaler(model, scale=opened, reuse=False, strength=strength, sharpen=sharpen) as upscaler:
                engine = CancellableUpscaler(upscaler, Job.cancellation)
                return (yield from enlarge_planes(data, engine, is_rgb=is_rgb, scale=scale, grain=grain))
        except SrError as error:
            failures.append(error)
            return None

    def tell(share: float) -> None:
        bar.n = round(share * 1000)
        bar.refresh()

    def show(result: Array | None) -> None:
        if result is not None:
            viewer.add_image(result, name=f"{name} x{scale:g}", rgb=is_rgb, **kwargs)
        for failure in failures:
            if not isinstance(failure, Cancelled):
                show_error(f"{failure}\n{failure.hint}")

    worker = thread_worker(work, worker_class=Job)()
    worker.yielded.connect(tell)
    worker.returned.connect(show)
    worker.finished.connect(bar.close)
    return worker


def place_like(layer: Any, finer: tuple[float, ...]) -> dict[str, Any]:
    """Keywords of add_image for a layer `finer` times (Y, X) as fine, at the same place in the world.

    napari puts a pixel's centre at its index, so the finer grid begins (finer - 1) / (2 finer) of an
    old pixel before the old one. Rotation, shear and affine are kept.
    """
    axes, times = layer.ndim, np.array(finer)
    corner = np.zeros(axes)
    corner[-2:] = -(times - 1) / (2 * times)
    world = np.asarray(layer.data_to_world(corner)) - np.asarray(layer.data_to_world(np.zeros(axes)))
    moved = np.linalg.solve(np.asarray(layer.affine.linear_matrix)[-axes:, -axes:], world)
    size = np.array(layer.scale, float)
    size[-2:] /= times
    kept = {name: getattr(layer, name) for name in ("rotate", "shear", "affine", "opacity", "blending", "gamma")}
    if not layer.rgb:
        kept |= {"colormap": layer.colormap, "contrast_limits": layer.contrast_limits}
    return kept | {"scale": size, "translate": np.asarray(layer.translate) + moved}
