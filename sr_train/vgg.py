"""VGG19 features (Simonyan & Zisserman 2015) with weights the user provides: none are shipped or downloaded.

The file is a torchvision-style state dict ('features.0.weight', ...), .safetensors or .pth; classifier
entries are ignored. Inputs are normalised with ImageNet's mean and deviation, as torchvision's weights
expect.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from sr_core.errors import BadInput

WIDTHS = (64, 64, "M", 128, 128, "M", 256, 256, 256, 256, "M", 512, 512, 512, 512, "M", 512, 512, 512, 512)
RELU5_4 = 35  # index after the last convolution: SRGAN's VGG54 (ESRGAN takes it before the ReLU, as here 34)
TEXTURE_LAYERS = (3, 8, 17)  # EnhanceNet §4.2.3: relu1_1-ish, relu2_1, relu3_1 blocks
TEXTURE_PATCH_PX = 16  # EnhanceNet §4.2.3
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet


class Vgg19(nn.Module):
    """Feature maps after the layers asked for, by torchvision's index."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for width in WIDTHS:
            if isinstance(width, str):
                layers.append(nn.MaxPool2d(2))
            else:
                layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
                inputs = width
        self.features = nn.Sequential(*layers)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor, layers: tuple[int, ...]) -> list[Tensor]:
        image = image.expand(-1, 3, -1, -1) if image.shape[1] == 1 else image
        state = (image - self.mean) / self.deviation
        found = []
        for index in range(max(layers) + 1):
            state = self.features[index](state)
            if index in layers:
                found.append(state)
        return found


def load_vgg(file: str) -> Vgg19:
    """VGG19 with the weights of `file`, frozen.

    Raises:
        BadInput: no file given, or not VGG19's weights.
    """
    hint = 'get torchvision\'s vgg19 state dict yourself and name it in the recipe: vgg = "vgg19.safetensors"'
    if not file:
        raise BadInput("this loss needs the weights of VGG19, and the recipe names none", hint=hint)
    path = Path(file)
    if not path.is_file():
        raise BadInput(f"no VGG19 weights at {path}", hint=hint)
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        state = load_file(path)
    else:
        state = torch.load(path, weights_only=True, map_location="cpu")
    network = Vgg19()
    wanted = {key: value for key, value in state.items() if key in network.state_dict()}
    try:
        network.load_state_dict(wanted)
    except RuntimeError as error:
        raise BadInput(f"{path.name} does not hold VGG19's weights: {error}", hint=hint) from error
    return network.eval().requires_grad_(False)


def feature_loss(name: str, file: str) -> Callable[[Tensor, Tensor], Tensor]:
    """`perceptual`: MSE of deep features. `texture`: MSE of Gram matrices of 16-pixel patches."""
    network = load_vgg(file)

    def perceptual(sr: Tensor, hr: Tensor) -> Tensor:
        deep: list[Tensor] = [network.to(sr.device)(image, (RELU5_4 - 1,))[0] for image in (sr, hr)]
        return (deep[0] - deep[1]).square().mean()

    def texture(sr: Tensor, hr: Tensor) -> Tensor:
        total = sr.new_zeros(())
        pairs = zip(*(network.to(sr.device)(image, TEXTURE_LAYERS) for image in (sr, hr)), strict=True)
        for a, b in pairs:
            total = total + (patch_grams(a) - patch_grams(b)).square().mean()
        return total

    return perceptual if name == "perceptual" else texture


def patch_grams(features: Tensor) -> Tensor:
    """Gram matrix of every patch: (N * patches, C, C), divided by the patch's area and channels."""
    side = min(TEXTURE_PATCH_PX, *features.shape[-2:])
    patches = features.unfold(2, side, side).unfold(3, side, side)
    c = features.shape[1]
    rows: Tensor = patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, c, side * side)
    grams: Tensor = torch.bmm(rows, rows.transpose(1, 2)) / (c * side * side)
    return grams
