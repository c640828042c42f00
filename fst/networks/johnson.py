"""Johnson, Alahi and Fei-Fei 2016, table 1 of the supplement, as practised since, for one style and for many."""

from collections.abc import Sequence

from torch import nn

from fst.networks.blocks import ConvBlock, ResidualBlock
from fst.networks.conditional import Conditional
from fst.networks.network import Network, register
from fst.values import at_least


@register
class Johnson(Network):
    """1.7 M parameters: resize-convolution, reflection padding, instance norm; as practised since.

    Departures from the paper, all common since: reflection padding in every convolution instead of one of 40 pixels,
    nearest-neighbour upsampling before a convolution instead of transposed convolutions, instance instead of batch
    normalisation (Ulyanov et al. 2016), and a linear output instead of a scaled tanh, which saturates.

    `width` is the channels at full resolution, twice and four times as many at 1/2 and 1/4; `depth` the residual blocks
    at 1/4; `norm` instance or batch.
    """

    def __init__(self, width: int = 32, depth: int = 5, norm: str = "instance") -> None:
        super().__init__()
        at_least("network.width", width, 1)
        at_least("network.depth", depth, 1)
        self.layers = nn.Sequential(
            ConvBlock(3, width, 9, norm=norm),
            ConvBlock(width, 2 * width, 3, stride=2, norm=norm),
            ConvBlock(2 * width, 4 * width, 3, stride=2, norm=norm),
            *(ResidualBlock(4 * width, norm) for _ in range(depth)),
            ConvBlock(4 * width, 2 * width, 3, upsample=2, norm=norm),
            ConvBlock(2 * width, width, 3, upsample=2, norm=norm),
            ConvBlock(width, 3, 9, norm=None, relu=False),
        )


@register
class JohnsonMany(Conditional):
    """Johnson's network with a scale and a shift for each of many styles."""

    plain_class = Johnson

    def __init__(self, styles: Sequence[str] = (), predictor: int = 0, width: int = 32, depth: int = 5) -> None:
        super().__init__(styles, predictor, width=width, depth=depth)
