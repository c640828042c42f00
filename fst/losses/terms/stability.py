"""What changes in the photo changes in the picture in the same way, and nothing else does: films that do not flicker.

As Gupta et al. 2017 and Wang et al. 2020 (ReReVST), but without films or flow: the other frame is the photo itself, a
little moved and with another exposure. The noise of a camera is added to what the network paints from in training
(`method.noise`): a gradient has to go through the noisy picture for the network to learn to overlook it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fst.losses.term import Step, Term, register
from fst.values import at_least

EDGE = 8  # pixels left out all around: what a network paints there depends on its padding
GAIN, LIFT = 0.03, 0.02  # of exposure: at most so much either way


@register
class Stability(Term):
    """Mean squared difference between the picture of a moved photo and the moved picture of the photo.

    Args:
        shift: pixels that the photo is moved by at most, either way.

    Raises:
        UserError: a shift below 0.
    """

    default_weight = 500.0
    needs_network = True

    def __init__(self, shift: int = 12) -> None:
        super().__init__()
        at_least("loss.stability_shift", shift, 0)
        self.shift = shift

    def forward(self, step: Step) -> Tensor:
        """0 for pictures too small to be moved by `shift`."""
        height, width = step.photos.shape[-2:]
        if min(height, width) <= self.shift + 2 * EDGE:
            return step.painted.new_zeros(())
        top, left = torch.randint(0, self.shift + 1, (2,)).tolist()
        rows, columns = slice(top, height - self.shift + top), slice(left, width - self.shift + left)
        gain, lift = (1 + GAIN * _either_way(), LIFT * _either_way())
        with torch.no_grad():  # the target: a gradient through both would cost a second backward pass
            moved = step.paint(step.photos[..., rows, columns] * gain + lift).float()
        expected = step.painted[..., rows, columns] * gain + lift
        inner = (..., slice(EDGE, -EDGE), slice(EDGE, -EDGE))
        return F.mse_loss(expected[inner], moved[inner])


def _either_way() -> float:
    return 2 * torch.rand(()).item() - 1
