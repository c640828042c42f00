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
    picture without a checkerboard these means are alike.

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
    """The variance of (N, 3, H, W), over the pixels of a square, of their means over a window; 0 below a window."""
    height, width = pictures.shape[-2:]
    whole = pictures[..., : height - height % period, : width - width % period]
    squares = F.pixel_unshuffle(whole, period)  # (N, 3·P², h, w)
    if min(squares.shape[-2:]) < window:
        return pictures.new_zeros(())
    means = F.avg_pool2d(squares, window, stride=1).unflatten(1, (3, -1))
    return means.var(2, unbiased=False).mean()
