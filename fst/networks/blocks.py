"""The few blocks every transform network is made of."""

import torch
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


class Residual(nn.Module):
    """x + body(x), for a body that keeps the shape: a residual block, or a skip over layers at coarser resolutions."""

    def __init__(self, *body: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class ResidualBlock(Residual):
    """x + convolve(convolve(x)), the last without ReLU (Gross and Wilber 2016, as Johnson et al. use it)."""

    def __init__(self, channels: int, norm: str = "instance") -> None:
        super().__init__(
            ConvBlock(channels, channels, 3, norm=norm), ConvBlock(channels, channels, 3, norm=norm, relu=False)
        )


def centred(image: Tensor) -> Tensor:
    """[0, 1] to about zero mean and unit deviation, where the usual initialisation works best."""
    return (image - 0.5) * 4


def uncentred(image: Tensor) -> Tensor:
    """The inverse of `centred`."""
    return torch.add(image * 0.25, 0.5)
