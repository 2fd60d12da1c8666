"""ComfyUI: the node image/upscaling > Upscale (srvid).

A batch goes through one image at a time, rows as they come, so memory holds the batch's result and
one image's rows. The work is done by srvid's worker, in its own process with its own packages.
"""

from __future__ import annotations

from typing import Any

import comfy.model_management as management
import comfy.utils
import torch

from .srvid_client import JobCancelled, model_names, scaled, upscale

DEVICES = ["auto", "openvino", "tensorrt", "tensorrt_rtx", "onnxruntime"]
OWN_MODEL = "instead of the above: a file (.onnx, .safetensors, .pth, .param), or several models: clean.pth,clear"
SHARE = {"min": 0.0, "max": 1.0, "step": 0.05, "round": 0.001}
STEPS = 100  # of the progress bar, an image


class SrvidUpscale:
    """Enlarges every image of a batch."""

    CATEGORY = "image/upscaling"
    DESCRIPTION = "Enlarges images with srvid, in exact tiles, on the CPU or GPU."
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "upscale"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802  ComfyUI's name
        """What the node shows."""
        models = model_names()
        return {
            "required": {
                "image": ("IMAGE",),
                "model": (models, {"default": models[0]}),
                "scale": ("FLOAT", {"default": 2.0, "min": 1.0, "max": 16.0, "step": 0.5, "round": 0.001}),
            },
            "optional": {
                "model_file": ("STRING", {"default": "", "tooltip": OWN_MODEL}),
                "tile": ("INT", {"default": 0, "min": 0, "max": 4096, "step": 16, "tooltip": "0 = chosen for you"}),
                "device": (DEVICES, {"default": "auto"}),
                "strength": ("FLOAT", SHARE | {"default": 1.0, "tooltip": "that much of the model, the rest of clear"}),
                "sharpen": ("FLOAT", SHARE | {"default": 0.0, "tooltip": "how much luma is sharpened"}),
                "grain": ("FLOAT", SHARE | {"default": 0.0, "tooltip": "how much film grain is laid over it"}),
            },
        }

    def upscale(
        self,
        image: Any,
        model: str,
        scale: float,
        model_file: str = "",
        tile: int = 0,
        device: str = "auto",
        strength: float = 1.0,
        sharpen: float = 0.0,
        grain: float = 0.0,
    ) -> tuple[Any]:
        """The node's work: (batch, rows, columns, channels) float32 in 0..1, the same larger."""
        count, height, width, channels = image.shape
        large = torch.empty((count, scaled(height, scale), scaled(width, scale), channels), dtype=torch.float32)
        bar = comfy.utils.ProgressBar(count * STEPS)
        job = {
            "width": width,
            "height": height,
            "channels": channels,
            "sample": "f32",
            "model": model_file.strip() or model,
            "scale": scale,
            "tile": tile or None,
            "backend": device,
            "strength": strength,
            "sharpen": sharpen,
            "grain": grain,
        }
        management.soft_empty_cache()  # the worker may want the same GPU
        for index in range(count):
            self._one(
                image[index],
                large[index],
                job | {"moment": index},
                lambda share, at=index: bar.update_absolute(_steps(at, share)),
            )
        return (large.clamp_(0.0, 1.0),)

    @staticmethod
    def _one(image: Any, large: Any, job: dict[str, Any], progress: Any) -> None:
        pixels = image.detach().to("cpu", torch.float32).contiguous()

        def put(y: int, rows: int, data: bytearray) -> None:
            large[y : y + rows] = torch.frombuffer(data, dtype=torch.float32).view(rows, *large.shape[1:])

        def report(phase: str, share: float) -> None:
            if phase == "upscaling":
                progress(share)

        try:
            upscale(
                job,
                [pixels.numpy().tobytes()],
                put,
                progress=report,
                cancelled=management.processing_interrupted,
            )
        except JobCancelled:
            management.throw_exception_if_processing_interrupted()
            raise


def _steps(index: int, share: float) -> int:
    return int((index + share) * STEPS)


NODE_CLASS_MAPPINGS = {"SrvidUpscale": SrvidUpscale}
NODE_DISPLAY_NAME_MAPPINGS = {"SrvidUpscale": "Upscale (srvid)"}
