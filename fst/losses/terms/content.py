"""What the photo shows (Johnson et al. 2016, section 3.2: feature reconstruction loss)."""

from collections.abc import Iterable, Sequence

import torch.nn.functional as F
from torch import Tensor

from fst.losses.term import Step, Term, register


@register
class Content(Term):
    """Mean over all elements of (F - F of the photo)², summed over the content layers (ReLUs by name)."""

    default_weight = 1.0

    def __init__(self, layers: Sequence[str] = ("relu2_2",)) -> None:
        super().__init__()
        self.photo_layers = tuple(layers)

    def painted_layers(self) -> dict[float, Iterable[str]]:
        return {1.0: self.photo_layers}

    def forward(self, step: Step) -> Tensor:
        found = step.features()
        compared = [layer for layer in self.photo_layers if layer in step.content]
        distances = [F.mse_loss(found[layer].float(), step.content[layer].float()) for layer in compared]
        return sum(distances, step.painted.new_zeros(()))
