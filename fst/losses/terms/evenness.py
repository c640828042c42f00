"""Calm skies: where the photo is even, so is what is painted of it."""

import torch
import torch.nn.functional as F
from torch import Tensor

from fst.losses.term import Step, Term, register
from fst.values import at_least

DETAIL, SLOPE = 0.03, 0.02  # in [0, 1]: what a camera's noise and an evening sky still have


@register
class Evenness(Term):
    """How much neighbouring colours of the picture differ where those of the photo do not.

    Content loss sees outlines, Gram matrices see no places: beside a dark roof a network may hang a band of the
    painting's colours into an even sky, as far as it can tell that there is a roof. Colours are means of `size`×`size`
    pixels, half a size apart, image in [0, 1]; see `unevenness`.
    """

    needs_network = True

    def __init__(self, size: int = 8) -> None:
        super().__init__()
        at_least("loss.evenness_size", size, 2)
        self.size = size

    def forward(self, step: Step) -> Tensor:
        return unevenness(step.photos, step.painted, self.size)


def unevenness(photos: Tensor, pictures: Tensor, size: int = 8) -> Tensor:
    """The mean of the squared distance in RGB of neighbouring squares' colours, across and down, of (N, 3, H, W).

    Each pair is weighted by exp(-v/DETAIL² - d²/SLOPE²): v is the photo's variance, summed over RGB, within that of
    the two squares that has more, d the distance of their colours there. That is 1 where a photo is even and 0 at
    outlines and in leaves. 0 for pictures without two squares beside each other.
    """
    if min(photos.shape[-2:]) < size + size // 2:
        return pictures.new_zeros(())
    step = size // 2
    photos = photos.float()
    seen, painted = (F.avg_pool2d(image, size, step) for image in (photos, pictures))
    variance = (F.avg_pool2d(photos.square(), size, step) - seen.square()).sum(1, keepdim=True)
    total = pictures.new_zeros(())
    for axis in (2, 3):
        pairs = seen.shape[axis] - 1
        within = torch.maximum(variance.narrow(axis, 0, pairs), variance.narrow(axis, 1, pairs))
        apart, drawn = (colours.diff(dim=axis).square().sum(1, keepdim=True) for colours in (seen, painted))
        total = total + (torch.exp(-within / DETAIL**2 - apart / SLOPE**2) * drawn).mean()
    return total
