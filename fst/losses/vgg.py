"""VGG-16 and VGG-19 (Simonyan and Zisserman 2014) as frozen feature extractors, tapped by layer name.

Oxford weights take RGB 0..255 minus their mean, and their features run to hundreds. Here the input after the mean and
every bias are divided by 128: ReLU, max and average pooling are positively homogeneous, f(a·x) = a·f(x) for a > 0, so
each feature is scaled by exactly 1/128, to order one.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from fst.layers import block_and_index, check_layers, convolution_number, layer_names

WIDTHS = (64, 128, 256, 512, 512)
OXFORD_MEAN = (123.68, 116.779, 103.939)  # RGB, of the levels 0..255
OXFORD_SCALE = 128.0
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class VGGFeatures(nn.Module):
    """Activations of a frozen VGG at named ReLUs, built no deeper than the deepest one tapped.

    Args:
        layers: the ReLUs that will be asked for, as ["relu1_2", "relu3_3"].
        weights: tensors under torchvision's names ("features.0.weight", ...) up to the deepest layer.
        architecture: "vgg16" or "vgg19".
        normalisation: "oxford" (RGB 0..255 minus the mean, all over 128) or "imagenet" (torchvision's own weights).
        pooling: "max", or "avg" as Gatys et al. prefer; average pooling is scaled so that activations keep their size.

    Raises:
        UserError: an unknown layer.
    """

    def __init__(
        self,
        layers: Iterable[str],
        weights: dict[str, Tensor],
        *,
        architecture: str = "vgg16",
        normalisation: str = "oxford",
        pooling: str = "max",
    ) -> None:
        super().__init__()
        wanted = set(layers)
        check_layers(wanted, architecture)
        names = layer_names(architecture)
        self.depth = 1 + max(names.index(layer) for layer in wanted)
        self.architecture = architecture
        self.names = names[: self.depth]
        self.pooling = pooling
        oxford = normalisation == "oxford"
        scale = OXFORD_SCALE if oxford else 1.0
        self.convolutions = nn.ModuleList()
        for name in self.names:
            convolution = _convolution(name, architecture, weights)
            convolution.bias.data /= scale
            self.convolutions.append(convolution)
        mean = [level / 255 for level in OXFORD_MEAN] if oxford else IMAGENET_MEAN
        std = [scale / 255] * 3 if oxford else IMAGENET_STD
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False).eval()

    def forward(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Features of RGB (N, 3, H, W) in [0, 1] by layer name, computed no deeper than the deepest layer asked for.

        They come in the precision of the weights, which `convolutions.to(torch.bfloat16)` may change.
        """
        wanted = set(layers)
        found: dict[str, Tensor] = {}
        x = ((image - self.mean) / self.std).to(self.convolutions[0].weight.dtype)
        for name, convolution in zip(self.names, self.convolutions, strict=True):
            if name.endswith("_1") and name != "relu1_1":
                x = self._pool(x)
            x = torch.relu(convolution(x))
            if name in wanted:
                found[name] = x
            if len(found) == len(wanted):
                break
        return found

    def _pool(self, x: Tensor) -> Tensor:
        if self.pooling == "max":
            return nn.functional.max_pool2d(x, 2)
        # A mean of four is smaller than their maximum: doubled, activations keep their size down the network,
        # the correction for VGG-19 of K. Crowson's style-transfer-pytorch.
        return nn.functional.avg_pool2d(x, 2) * 2


def kernel_shape(layer: str) -> tuple[int, int, int, int]:
    """The shape of a layer's convolution weights: (outputs, inputs, 3, 3)."""
    block, index = block_and_index(layer)
    return WIDTHS[block - 1], WIDTHS[block - 1] if index > 1 else (3, *WIDTHS)[block - 1], 3, 3


def _convolution(layer: str, architecture: str, weights: dict[str, Tensor]) -> nn.Conv2d:
    outputs, inputs, *_ = kernel_shape(layer)
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
    number = convolution_number(layer, architecture)
    convolution.weight.data = weights[f"features.{number}.weight"].float().clone()
    convolution.bias.data = weights[f"features.{number}.bias"].float().clone()
    return convolution
