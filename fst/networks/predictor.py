"""From a painting to a style vector (Ghiasi et al. 2017, "Exploring the structure of a real-time, arbitrary neural
artistic stylization network"), read from the painting's Gram matrices instead of the features of a large network.
"""

import itertools
from collections.abc import Mapping

import torch
from torch import Tensor, nn

CHANNELS = {"relu1_2": 64, "relu2_2": 128, "relu3_3": 256}  # of the Gram matrices that it reads
PROJECTED = 16  # channels that each Gram matrix is projected to


class Predictor(nn.Module):
    """Gram matrices of a painting to its style vector.

    It sees each layer's diagonal, how strong each feature is, as logarithms; and W G Wᵀ for a learnt W, how often
    mixtures of features occur together, as signed square roots. Hidden layers are `width` wide, and it starts from the
    style vector `neutral` (V,).
    """

    def __init__(self, neutral: Tensor, width: int) -> None:
        super().__init__()
        self.projections = nn.ParameterDict(
            {layer: torch.empty(PROJECTED, channels) for layer, channels in CHANNELS.items()}
        )
        for layer, channels in CHANNELS.items():
            _spread(self.projections[layer], channels**-0.5)
        pairs = list(itertools.combinations_with_replacement(range(PROJECTED), 2))
        self.register_buffer("pairs", torch.tensor(pairs).T, persistent=False)
        seen = sum(channels + self.pairs.shape[1] for channels in CHANNELS.values())
        self.layers = nn.Sequential(
            nn.Linear(seen, width), nn.LayerNorm(width), nn.GELU(), nn.Linear(width, width), nn.GELU()
        )
        self.last = nn.Linear(width, len(neutral))
        _spread(self.last.weight, 0.1 / width**0.5)
        with torch.no_grad():
            self.last.bias.copy_(neutral)

    def forward(self, grams: Mapping[str, Tensor]) -> Tensor:
        """Gram matrices (N, C, C) of RGB in [0, 1] by layer, of fst's small student of VGG-16, to vectors (N, V)."""
        seen = []
        for layer, projection in self.projections.items():
            gram = grams[layer] * CHANNELS[layer]  # of order one whatever the layer's width
            diagonal = gram.diagonal(dim1=1, dim2=2)
            together = projection @ gram @ projection.T
            together = together[:, self.pairs[0], self.pairs[1]]
            seen += [(diagonal + 1e-4).log() / 2, together.sign() * (together.abs() + 1e-6).sqrt()]
        return self.last(self.layers(torch.cat(seen, dim=1)))


def _spread(weights: Tensor, deviation: float) -> None:
    """Uniform numbers: normal ones, on the meta device where files are checked, import torch's compiler first."""
    nn.init.uniform_(weights, -(3**0.5) * deviation, 3**0.5 * deviation)
