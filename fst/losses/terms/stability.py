"""What changes in the photo changes in the picture in the same way, and nothing else does: films that do not flicker.

As Gupta et al. 2017 and Wang et al. 2020 (ReReVST), but without films or flow: the second frame is the photo itself, a
little moved, with a sensor's noise and another exposure.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fst.losses.term import Step, Term, register
from fst.values import at_least

EDGE = 8  # pixels left out all around: what a network paints there depends on its padding
GAIN, LIFT = 0.03, 0.02  # of exposure: at most so much either way
BLOCK = 8  # pixels: a codec's


@register
class Stability(Term):
    """Mean squared difference between the picture of a changed photo and the changed picture of the photo.

    Args:
        noise: largest deviation of the sensor's noise, in levels of 255.
        shift: pixels that the photo is moved by at most, either way.

    Raises:
        UserError: a value below 0.
    """

    needs_network = True

    def __init__(self, noise: float = 6.0, shift: int = 12) -> None:
        super().__init__()
        for key, value in {"noise": noise, "shift": shift}.items():
            at_least(f"loss.stability_{key}", value, 0)
        self.noise, self.shift = noise, shift

    def forward(self, step: Step) -> Tensor:
        """0 for pictures too small to be moved by `shift`."""
        height, width = step.photos.shape[-2:]
        if min(height, width) <= 2 * (self.shift + EDGE):
            return step.painted.new_zeros(())
        top, left = torch.randint(0, self.shift + 1, (2,)).tolist()
        rows, columns = slice(top, height - self.shift + top), slice(left, width - self.shift + left)
        gain, lift = (1 + GAIN * _either_way(), LIFT * _either_way())
        with torch.no_grad():  # the target: a gradient through both would cost a second backward pass
            moved = step.paint(self._noisy(step.photos[..., rows, columns] * gain + lift)).float()
        expected = step.painted[..., rows, columns] * gain + lift
        inner = (..., slice(EDGE, -EDGE), slice(EDGE, -EDGE))
        return F.mse_loss(expected[inner], moved[inner])

    def _noisy(self, photos: Tensor) -> Tensor:
        """With noise of a random strength: pixel by pixel as a sensor's, and by blocks as a codec's."""
        deviation = self.noise / 255
        fine = torch.randn_like(photos) * (deviation * torch.rand(()).item())
        size = [-(-edge // BLOCK) for edge in photos.shape[-2:]]
        coarse = torch.randn(*photos.shape[:2], *size, device=photos.device) * (deviation / 2 * torch.rand(()).item())
        coarse = F.interpolate(coarse, scale_factor=BLOCK, mode="nearest")
        return photos + fine + coarse[..., : photos.shape[-2], : photos.shape[-1]]


def _either_way() -> float:
    return 2 * torch.rand(()).item() - 1
