"""VGG-16 and VGG-19 (Simonyan and Zisserman 2014) as frozen feature extractors, tapped by layer name.

Oxford weights take RGB 0..255 minus their mean, and their features run to hundreds. Here the input after the mean and
every bias are divided by 128: ReLU, max and average pooling are positively homogeneous, f(a·x) = a·f(x) for a > 0, so
each feature is scaled by exactly 1/128, to order one.

`vgg16_small` is a narrow student of VGG-16 that comes with fst (experiments/distil_vgg trains it): the same blocks with
fewer channels, and at each ReLU that can be tapped a 1×1 head that predicts VGG-16's own features there. Its losses are
therefore estimates of VGG-16's, and weights mean the same.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from fst.losses.names import HEADS, SMALL, WIDTHS, block_and_index, check_layers, convolution_number, layer_names

OXFORD_MEAN = (123.68, 116.779, 103.939)  # RGB, of the levels 0..255
OXFORD_SCALE = 128.0
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class VGGFeatures(nn.Module):
    """Activations of a frozen VGG at named ReLUs, built no deeper than the deepest one tapped.

    Args:
        layers: the ReLUs that will be asked for, as ["relu1_2", "relu3_3"]; UserError for an unknown one.
        weights: tensors under torchvision's names ("features.0.weight", ...) up to the deepest layer, and of
            vgg16_small's heads ("heads.relu1_2.weight", ...).
        architecture: "vgg16", "vgg19" or "vgg16_small".
        normalisation: "oxford" (RGB 0..255 minus the mean, all over 128) or "imagenet" (torchvision's own weights).
        pooling: "max", or "avg" as Gatys et al. prefer; average pooling is scaled so that activations keep their size.
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
        self.architecture = architecture
        self.names = names[: 1 + max(names.index(layer) for layer in wanted)]
        self.pooling = pooling
        oxford = normalisation == "oxford"
        scale = OXFORD_SCALE if oxford else 1.0
        numbers = [convolution_number(name, architecture) for name in self.names]
        self.convolutions = nn.ModuleList(_convolution(f"features.{number}", weights, scale) for number in numbers)
        headed = [name for name in self.names if name in wanted and architecture == SMALL]
        self.heads = nn.ModuleDict({name: _convolution(f"heads.{name}", weights, scale) for name in headed})
        mean = [level / 255 for level in OXFORD_MEAN] if oxford else IMAGENET_MEAN
        std = [scale / 255] * 3 if oxford else IMAGENET_STD
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False).eval()

    def forward(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Features of RGB (N, 3, H, W) in [0, 1] by layer name, computed no deeper than the deepest layer asked for.

        They come in the precision of the weights, which `in_precision` may change.
        """
        wanted = set(layers)
        found: dict[str, Tensor] = {}
        x = ((image - self.mean) / self.std).to(self.convolutions[0].weight.dtype)
        for name, convolution in zip(self.names, self.convolutions, strict=True):
            if name.endswith("_1") and name != "relu1_1":
                x = self._pool(x)
            x = convolution(x).relu_()
            if name in wanted:
                found[name] = _predicted(self.heads[name], x) if self.heads else x
            if len(found) == len(wanted):
                break
        return found

    def in_precision(self, dtype: torch.dtype) -> VGGFeatures:
        """Convolve in `dtype` from now on; the image's normalisation stays in fp32."""
        self.convolutions.to(dtype)
        self.heads.to(dtype)
        return self

    def _pool(self, x: Tensor) -> Tensor:
        if self.pooling == "max":
            return nn.functional.max_pool2d(x, 2)
        # A mean of four is smaller than their maximum: doubled, activations keep their size down the network,
        # the correction for VGG-19 of K. Crowson's style-transfer-pytorch.
        return nn.functional.avg_pool2d(x, 2) * 2


def _predicted(head: nn.Conv2d, x: Tensor) -> Tensor:
    """A 1×1 head's ReLU. As a product with every pixel: a convolution of this shape is five times slower on CPUs."""
    pixels = nn.functional.linear(x.permute(0, 2, 3, 1), head.weight.flatten(1), head.bias)
    return pixels.relu_().permute(0, 3, 1, 2)


def tensor_shapes(layers: Iterable[str], architecture: str = "vgg16") -> dict[str, tuple[int, ...]]:
    """The weights that layers need, as torchvision names them, with their shapes, for every layer given."""
    shapes: dict[str, tuple[int, ...]] = {}
    widths = WIDTHS[architecture]
    for layer in layers:
        block, index = block_and_index(layer)
        inputs = widths[block - 1] if index > 1 else (3, *widths)[block - 1]
        convolutions = {f"features.{convolution_number(layer, architecture)}": (widths[block - 1], inputs, 3, 3)}
        if architecture == SMALL and layer in HEADS:
            convolutions[f"heads.{layer}"] = (HEADS[layer], widths[block - 1], 1, 1)
        for name, shape in convolutions.items():
            shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return shapes


def _convolution(name: str, weights: dict[str, Tensor], scale: float) -> nn.Conv2d:
    kernel = weights[f"{name}.weight"].float()
    outputs, inputs, side, _ = kernel.shape
    convolution = nn.Conv2d(inputs, outputs, side, padding=side // 2)
    convolution.weight.data = kernel.clone()
    convolution.bias.data = weights[f"{name}.bias"].float() / scale
    return convolution
