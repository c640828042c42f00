"""The transform network exactly as Johnson, Alahi and Fei-Fei 2016 print it (supplement, table 1)."""

import torch
from torch import Tensor, nn

from fst.networks.blocks import normalisation
from fst.networks.network import Network, register
from fst.values import at_least


class ValidResidualBlock(nn.Module):
    """Two 3×3 convolutions without padding; the identity is cropped 2 pixels a side to match (supplement, fig. 1)."""

    def __init__(self, channels: int, norm: str) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3), normalisation(norm, channels), nn.ReLU(),
            nn.Conv2d(channels, channels, 3), normalisation(norm, channels),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x[..., 2:-2, 2:-2] + self.body(x)


def _layer(convolution: nn.Module, norm: str) -> nn.Sequential:
    return nn.Sequential(convolution, normalisation(norm, convolution.out_channels), nn.ReLU())


@register
class JohnsonPaper(Network):
    """The paper's own: transposed convolutions, batch norm, tanh; for comparison.

    It draws the checkerboard that `Johnson`, whose settings these are, was made to avoid.
    """

    def __init__(self, width: int = 32, depth: int = 5, norm: str = "batch") -> None:
        super().__init__()
        at_least("network.width", width, 1)
        at_least("network.depth", depth, 1)
        self.padding = 8 * depth  # what two valid 3×3 convolutions a block take away at 1/4 resolution; 40 in the paper
        self.smallest = self.padding + self.multiple  # reflection needs more pixels than it adds
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(self.padding),
            _layer(nn.Conv2d(3, width, 9, padding=4), norm),
            _layer(nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), norm),
            _layer(nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1), norm),
            *(ValidResidualBlock(4 * width, norm) for _ in range(depth)),
            _layer(nn.ConvTranspose2d(4 * width, 2 * width, 3, stride=2, padding=1, output_padding=1), norm),
            _layer(nn.ConvTranspose2d(2 * width, width, 3, stride=2, padding=1, output_padding=1), norm),
            nn.Conv2d(width, 3, 9, padding=4),
        )

    def after(self, features: Tensor) -> Tensor:
        return torch.tanh(features) / 2 + 0.5
