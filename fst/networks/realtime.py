"""A transform network for a laptop's CPU: no layer works at full resolution."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fst.errors import UserError
from fst.networks.blocks import AnySize, ConvBlock, ResidualBlock, centred, uncentred


class Realtime(AnySize):
    """Pixels folded into channels, all work at 1/2 and coarser, sub-pixel upsampling (Shi et al. 2016) at the end.

    Full-resolution layers are bound by memory, not arithmetic, on a CPU: folding 2×2 pixels into channels first is
    what makes the network fast. Residual blocks at 1/8 see far, which is what brush strokes need, and cost little.
    346,476 parameters at the defaults, chosen in experiments/architectures.

    Args:
        fold: the edge of the square of pixels that becomes channels: 2 or 4.
        widths: channels at 1/fold resolution, then at each halving of it.
        depth: residual blocks at the coarsest resolution.
        norm: "instance" or "batch".

    Raises:
        UserError: no widths, or one that is not positive; another fold.
    """

    full_resolution = False

    def __init__(
        self,
        fold: int = 2,
        widths: Sequence[int] = (16, 32, 64),
        depth: int = 4,
        norm: str = "instance",
    ) -> None:
        super().__init__()
        if fold not in (2, 4):
            raise UserError(f"network.fold is {fold}; choose 2 or 4")
        if not widths or min(widths) < 1:
            raise UserError(f"network.widths is {list(widths)}; it takes a positive number a resolution, as [16,32,64]")
        self.multiple = fold * 2 ** (len(widths) - 1)
        self.smallest = 4 * self.multiple
        folded = 3 * fold**2
        steps = list(itertools.pairwise(widths))
        self.layers = nn.Sequential(
            nn.PixelUnshuffle(fold),
            ConvBlock(folded, widths[0], 3, norm=norm),
            *(ConvBlock(fine, coarse, 3, stride=2, norm=norm) for fine, coarse in steps),
            *(ResidualBlock(widths[-1], norm) for _ in range(depth)),
            *(ConvBlock(coarse, fine, 3, upsample=2, norm=norm) for fine, coarse in reversed(steps)),
            ConvBlock(widths[0], folded, 3, norm=None, relu=False),
            nn.PixelShuffle(fold),
        )
        self._start_without_grid(fold**2)

    @torch.no_grad()
    def _start_without_grid(self, pixels: int) -> None:
        """Give the pixels of each folded square the same first weights, else their differences draw a grid that
        training has to take away again (Aitken et al. 2017).
        """
        last = self.layers[-2][0]
        for parameter in (last.weight, last.bias):
            parameter.copy_(parameter[::pixels].repeat_interleave(pixels, 0))

    def paint(self, image: Tensor) -> Tensor:
        return uncentred(self.layers(centred(image)))
