"""No wallpaper in flat skies: a picture must not repeat itself at the network's own period (Odena et al. 2016)."""

import torch.nn.functional as F
from torch import Tensor

from fst.losses.term import Step, Term, register
from fst.values import at_least


@register
class Checkerboard(Term):
    """How much of the picture is a pattern of a fixed period: what a network draws into flat skies to please the style.

    A network that halves the picture three times can tell the pixels of each 8×8 square from each other, and nothing
    else where a photo is flat. Over windows of some squares, the mean of each of the pixels of a square is taken; in a
    picture without a checkerboard, its smooth slopes taken away, these means are alike.

    `period` is the network's total stride in pixels, `window` the squares along a window's edge.
    """

    needs_network = True

    def __init__(self, period: int = 8, window: int = 5) -> None:
        super().__init__()
        at_least("loss.checkerboard_period", period, 2)
        at_least("loss.checkerboard_window", window, 2)
        self.period, self.window = period, window

    def forward(self, step: Step) -> Tensor:
        return repetition(step.painted, self.period, self.window)


def repetition(pictures: Tensor, period: int = 8, window: int = 5) -> Tensor:
    """The variance, over the pixels of a square, of their means over a window of squares; 0 below a window.

    Of (N, 3, H, W) less the mean of the square around each pixel, which has no pattern of that period: so that a smooth
    slope, whose means differ too, costs nothing, and the stairs that a network may draw instead do.
    """
    if min(pictures.shape[-2:]) < period * (window + 1) - 1:
        return pictures.new_zeros(())
    around = F.avg_pool2d(pictures, period, stride=1)
    begin = (period - 1) // 2
    height, width = (edge - edge % period for edge in around.shape[-2:])
    detail = pictures[..., begin:, begin:][..., :height, :width] - around[..., :height, :width]
    squares = F.pixel_unshuffle(detail, period)  # (N, 3·P², h, w)
    means = F.avg_pool2d(squares, window, stride=1).unflatten(1, (3, -1))
    return means.var(2, unbiased=False).mean()
