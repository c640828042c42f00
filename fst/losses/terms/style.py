"""How the painting is painted (Gatys et al. 2015; Johnson et al. 2016, section 3.2: style reconstruction loss)."""

from collections.abc import Iterable, Sequence

import torch.nn.functional as F
from torch import Tensor

from fst.losses.gram import gram_matrix
from fst.losses.term import Step, Term, register


@register
class Style(Term):
    """Mean over the C×C entries of (G - G of the painting)², G = F Fᵀ / (C·H·W), summed over layers and scales.

    Scales are fractions of the image's size, with targets at the matching size: half size gives a layer twice the reach
    (Snelgrove 2017).
    """

    default_weight = 1e5

    def __init__(
        self,
        layers: Sequence[str] = ("relu1_2", "relu2_2", "relu3_3", "relu4_3"),  # ReLUs by name
        layer_weights: Sequence[float] | None = None,  # one a layer; None: 1 each
        scales: Sequence[float] = (1.0,),
    ) -> None:
        super().__init__()
        self.layers = tuple(layers)
        self.layer_weights = dict(zip(self.layers, layer_weights or [1.0] * len(self.layers), strict=True))
        self.scales = tuple(scales)

    def painted_layers(self) -> dict[float, Iterable[str]]:
        return dict.fromkeys(self.scales, self.layers)

    def forward(self, step: Step) -> dict[str, Tensor]:
        """By relu1_2, or relu1_2@0.5 at half size."""
        distances = {}
        for scale in self.scales:
            features = step.features(scale)
            for layer, weight in self.layer_weights.items():
                grams = gram_matrix(features[layer], step.regions)
                name = layer if scale == 1.0 else f"{layer}@{scale:g}"
                distances[name] = weight * _distance(grams, step.style.grams[scale, layer], step)
        return distances


def _distance(grams: Tensor, targets: Tensor, step: Step) -> Tensor:
    """The mean over images, each by its painting's weight; or the sum over one image's regions by their shares of it.

    Both are (N, C, C), one an image or region; targets may be one for all.
    """
    if step.regions is None and step.style.weights is None:
        return F.mse_loss(grams, targets.expand_as(grams))
    distances = (grams - targets).square().mean((1, 2))
    if step.regions is None:
        return (distances * step.style.weights).mean()
    return (distances * step.regions.mean((1, 2, 3))).sum()
