"""What changes in the photo changes in the picture in the same way, and nothing else does: films that do not flicker.

As Gupta et al. 2017 and Wang et al. 2020 (ReReVST), but without films or flow: the other frame is the photo itself, of
which more is seen, with another exposure. The noise of a camera is added to what the network paints from in training
(`method.noise`): a gradient has to go through the noisy picture for the network to learn to overlook it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from fst.losses.term import Step, Term, register
from fst.values import between

GAIN, LIFT = 0.03, 0.02  # of exposure: at most so much either way


@register
class Stability(Term):
    """Mean squared difference between a picture and the same place in the picture of a larger part of the photo.

    Whatever the network paints only because of the crop's border, position or exposure differs between the two pictures
    and is penalised. The larger part has `shift` pixels more across and down, and the picture's place in it is drawn
    anew. In validation there is no larger part, so only the exposure differs.
    """

    default_weight = 500.0
    needs_network = True

    def __init__(self, shift: int = 48) -> None:
        super().__init__()
        between("loss.stability_shift", shift, 0, 512, ": pixels of the photo beyond the picture")
        self.room = shift

    def forward(self, step: Step) -> Tensor:
        around = step.photos if step.around is None else step.around
        (top, left), (height, width) = step.place, step.painted.shape[-2:]
        gain, lift = 1 + GAIN * _either_way(), LIFT * _either_way()
        with torch.no_grad():  # the target: a gradient through both would cost a second backward pass
            other = step.paint(around * gain + lift).float()
        return F.mse_loss(step.painted * gain + lift, other[..., top : top + height, left : left + width])


def _either_way() -> float:
    return 2 * torch.rand(()).item() - 1
