"""A transform network for a laptop's CPU: no layer works at full resolution."""

import torch
from torch import Tensor, nn

from fst.networks.blocks import AnySize, ConvBlock, ResidualBlock, centred, uncentred


class Realtime(AnySize):
    """Pixels folded into channels, the work at 1/2 and 1/4, sub-pixel upsampling (Shi et al. 2016) at the end.

    Full-resolution layers are bound by memory, not arithmetic, on a CPU: folding 2×2 pixels into channels first is
    what makes the network fast. 184,572 parameters at the defaults.

    Args:
        width: channels at 1/2 resolution.
        channels: channels at 1/4 resolution.
        depth: residual blocks at 1/4.
        norm: "instance" or "batch".
    """

    def __init__(self, width: int = 16, channels: int = 48, depth: int = 4, norm: str = "instance") -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.PixelUnshuffle(2),
            ConvBlock(12, width, 3, norm=norm),
            ConvBlock(width, channels, 3, stride=2, norm=norm),
            *(ResidualBlock(channels, norm) for _ in range(depth)),
            ConvBlock(channels, width, 3, upsample=2, norm=norm),
            ConvBlock(width, 12, 3, norm=None, relu=False),
            nn.PixelShuffle(2),
        )
        self._start_without_grid()

    @torch.no_grad()
    def _start_without_grid(self) -> None:
        """Give the four pixels of each 2×2 block the same first weights, else their differences draw a grid that
        training has to take away again (Aitken et al. 2017).
        """
        last = self.layers[-2][0]
        for parameter in (last.weight, last.bias):
            parameter.copy_(parameter[::4].repeat_interleave(4, 0))

    def paint(self, image: Tensor) -> Tensor:
        return uncentred(self.layers(centred(image)))
