"""The few blocks every transform network is made of."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fst.errors import UserError


def normalisation(kind: str, channels: int) -> nn.Module:
    """Instance normalisation (Ulyanov et al. 2016) or batch normalisation, with a learnt scale and shift."""
    if kind == "instance":
        return nn.InstanceNorm2d(channels, affine=True)
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    raise UserError(f"network.norm is '{kind}'; choose instance or batch")


class ConvBlock(nn.Sequential):
    """Upsample (nearest), reflection pad, convolve, normalise, ReLU: each part but the convolution optional.

    Resizing before a convolution draws no checkerboard as a transposed convolution does (Odena et al. 2016), and
    padding by reflection draws no border as zeros do.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        upsample: int = 1,
        norm: str | None = "instance",
        relu: bool = True,
    ) -> None:
        layers: list[nn.Module] = []
        if upsample > 1:
            layers.append(nn.Upsample(scale_factor=upsample, mode="nearest"))
        layers.append(nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, padding_mode="reflect"))
        if norm is not None:
            layers.append(normalisation(norm, outputs))
        if relu:
            layers.append(nn.ReLU())
        super().__init__(*layers)


class ResidualBlock(nn.Module):
    """x + convolve(convolve(x)), the last without ReLU (Gross and Wilber 2016, as Johnson et al. use it)."""

    def __init__(self, channels: int, norm: str = "instance") -> None:
        super().__init__()
        self.body = nn.Sequential(
            ConvBlock(channels, channels, 3, norm=norm), ConvBlock(channels, channels, 3, norm=norm, relu=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class AnySize(nn.Module):
    """A network whose input may have any height and width: padded by reflection to a multiple, the output cropped.

    Subclasses give `multiple` (the network's total stride), `smallest` (the least side its paddings need),
    `full_resolution` (whether it has features as large as the image) and `paint`, which maps (N, 3, H, W) in [0, 1] to
    the same shape.
    """

    multiple: int = 4
    smallest: int = 16
    full_resolution: bool = True

    def paint(self, image: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, image: Tensor) -> Tensor:
        """Paint RGB (N, 3, H, W) in [0, 1]; the same shape comes back, a little outside [0, 1] where paint is bold."""
        height, width = image.shape[-2:]
        bottom = max(-height % self.multiple, self.smallest - height)
        right = max(-width % self.multiple, self.smallest - width)
        if bottom == 0 and right == 0:
            return self.paint(image)
        # Reflection needs more pixels than it adds; an image of a few pixels has only its edge to repeat.
        mode = "reflect" if bottom < height and right < width else "replicate"
        return self.paint(F.pad(image, (0, right, 0, bottom), mode=mode))[..., :height, :width]


def parameter_count(network: nn.Module) -> int:
    """The number of learnt numbers in a network."""
    return sum(parameter.numel() for parameter in network.parameters())


def centred(image: Tensor) -> Tensor:
    """[0, 1] to about zero mean and unit deviation, where the usual initialisation works best."""
    return (image - 0.5) * 4


def uncentred(image: Tensor) -> Tensor:
    """The inverse of `centred`."""
    return torch.add(image * 0.25, 0.5)
