"""How the painting is painted (Gatys et al. 2015; Johnson et al. 2016, section 3.2: style reconstruction loss)."""

from collections.abc import Iterable, Sequence

from torch import Tensor

from fst.losses.gram import gram_matrix, region_grams, style_distance
from fst.losses.term import Step, Term, register


@register
class Style(Term):
    """Mean over the C×C entries of (G - G of the painting)², G = F Fᵀ / (C·H·W), summed over layers and scales.

    Where the style target has weights, each picture's distance is multiplied with its painting's.

    Args:
        layers: ReLUs by name.
        layer_weights: one a layer; None for 1 each.
        scales: fractions of the image's size over which the distances are summed, with targets at the matching size:
            half size gives a layer twice the reach (Snelgrove 2017).
    """

    default_weight = 1e5

    def __init__(
        self,
        layers: Sequence[str] = ("relu1_2", "relu2_2", "relu3_3", "relu4_3"),
        layer_weights: Sequence[float] | None = None,
        scales: Sequence[float] = (1.0,),
    ) -> None:
        super().__init__()
        self.layers = tuple(layers)
        self.layer_weights = dict(zip(self.layers, layer_weights or [1.0] * len(self.layers), strict=True))
        self.scales = tuple(scales)

    def painted_layers(self) -> dict[float, Iterable[str]]:
        return dict.fromkeys(self.scales, self.layers)

    def forward(self, step: Step) -> dict[str, Tensor]:
        distances = {}
        for scale in self.scales:
            features = step.features(scale)
            for layer, weight in self.layer_weights.items():
                found, regions = features[layer], step.regions
                gram = gram_matrix(found) if regions is None else region_grams(found, regions)
                distance = style_distance(gram, step.style.grams[scale, layer], regions, step.style.weights)
                distances[part_name(layer, scale)] = weight * distance
        return distances


def part_name(layer: str, scale: float) -> str:
    """A style distance's name: relu1_2, or relu1_2@0.5 at half size."""
    return layer if scale == 1.0 else f"{layer}@{scale:g}"
