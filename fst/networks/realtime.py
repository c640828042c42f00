"""A network for a laptop's CPU, of one style and of many: no layer but the last works at full resolution."""

import itertools
from collections.abc import Sequence

import torch
from torch import nn

from fst.errors import UserError
from fst.networks.blocks import ConvBlock, Residual, ResidualBlock, ResizedConv
from fst.networks.conditional import Conditional
from fst.networks.network import Network, register
from fst.values import one_of


@register
class Realtime(Network):
    """290 k parameters, nothing at full resolution: for a laptop's CPU.

    Full-resolution layers are bound by memory, not arithmetic, on a CPU: folding 2×2 pixels into channels first is
    what makes the network fast. Residual blocks at 1/8 see far, which is what brush strokes need, and cost little.
    Skips keep outlines, at no parameters. A pixel shuffle draws a grid of period `fold` unless the checkerboard term
    forbids it. Defaults are chosen in experiments/architectures.
    """

    full_resolution = False

    def __init__(
        self,
        fold: int = 2,  # edge of the square of pixels that becomes channels: 2 or 4
        widths: Sequence[int] = (16, 32, 64),  # channels at 1/fold resolution, then at each halving of it
        depths: Sequence[int] = (0, 1, 3),  # residual blocks at each of these; those of the coarsest come last
        skips: bool = True,  # add what features were on the way down (LinkNet, Chaurasia and Culurciello 2017)
        end: str = "resize",  # `ResizedConv` to RGB; or shuffle, sub-pixel upsampling (Shi et al. 2016)
        norm: str = "instance",  # or batch
    ) -> None:
        super().__init__()
        _check(fold, widths, depths, end)
        self.multiple = fold * 2 ** (len(widths) - 1)
        self.smallest = 4 * self.multiple
        inner: list[nn.Module] = [ResidualBlock(widths[-1], norm) for _ in range(depths[-1])]
        for (fine, coarse), depth in zip(reversed(list(itertools.pairwise(widths))), depths[-2::-1], strict=True):
            down = ConvBlock(fine, coarse, 3, stride=2, norm=norm)
            up = ConvBlock(coarse, fine, 3, upsample=2, norm=norm)
            body = [Residual(down, *inner, up)] if skips else [down, *inner, up]
            inner = [*(ResidualBlock(fine, norm) for _ in range(depth)), *body]
        folded = 3 * fold**2
        self.layers = nn.Sequential(
            nn.PixelUnshuffle(fold), ConvBlock(folded, widths[0], 3, norm=norm), *inner, *_end(end, widths[0], fold)
        )


@register
class RealtimeMany(Conditional):
    """The real-time network, a little wider and deeper, with a scale and a shift for each of many styles."""

    plain_class = Realtime

    def __init__(
        self,
        styles: Sequence[str] = (),
        predictor: int = 0,
        fold: int = 2,
        widths: Sequence[int] = (16, 32, 80),
        depths: Sequence[int] = (0, 1, 4),
        skips: bool = True,
        end: str = "resize",
    ) -> None:
        super().__init__(styles, predictor, fold=fold, widths=widths, depths=depths, skips=skips, end=end)


def _check(fold: int, widths: Sequence[int], depths: Sequence[int], end: str) -> None:
    if fold not in (2, 4):
        raise UserError(f"network.fold is {fold}; choose 2 or 4")
    if not widths or min(widths) < 1:
        raise UserError(f"network.widths is {list(widths)}; it takes a positive number a resolution, as [16,32,64]")
    if len(depths) != len(widths) or min(depths) < 0:
        raise UserError(f"network.depths is {list(depths)}; it takes a number from 0 up for each of {list(widths)}")
    one_of("network.end", end, ("resize", "shuffle"))


@torch.no_grad()
def _end(end: str, width: int, fold: int) -> list[nn.Module]:
    if end == "resize":
        return [ResizedConv(width, 3, fold)]
    last = ConvBlock(width, 3 * fold**2, 3, norm=None, relu=False)
    # The pixels of each folded square start with the same weights, else their differences draw a grid that training
    # has to take away again (Aitken et al. 2017).
    for parameter in last.parameters():
        parameter.copy_(parameter[:: fold**2].repeat_interleave(fold**2, 0))
    return [last, nn.PixelShuffle(fold)]
