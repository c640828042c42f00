"""The objective of a step: VGG-16's content and style losses, and the stability term, for a batch with a style each."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from fst.losses.gram import gram_matrix
from fst.losses.terms.stability import GAIN, LIFT
from fst.losses.vgg import VGGFeatures
from fst.losses.weights import OXFORD, load_weights

LAYERS = ("relu1_2", "relu2_2", "relu3_3")
CONTENT = "relu2_2"
MARGIN, NOISE = 8, 6.0  # as method.margin and method.noise have them
SHIFT, EDGE = 12, 8  # the stability term of that run: a picture moved by so much, without its edge

Grams = dict[str, Tensor]


def extractor(device: str, dtype: torch.dtype = torch.float32) -> VGGFeatures:
    """VGG-16, channels last."""
    weights = load_weights(OXFORD, LAYERS)
    features = VGGFeatures(LAYERS, weights.tensors, normalisation=weights.normalisation)
    return features.to(device, memory_format=torch.channels_last).in_precision(dtype)


@torch.no_grad()
def grams_of(features: VGGFeatures, pictures: Tensor) -> Grams:
    """Gram matrices of pictures (N, 3, H, W), by layer."""
    return {layer: gram_matrix(found) for layer, found in features(pictures, LAYERS).items()}


def energy(grams: Grams) -> Tensor:
    """(N,): the style loss of a picture without features."""
    return sum(gram.square().mean((1, 2)) for gram in grams.values())


class Objective:
    """Losses of one batch.

    Args:
        features: in bf16.
        crop: edge of the pictures that the losses see.
    """

    def __init__(self, features: VGGFeatures, crop: int) -> None:
        self.features = features
        self.painted = crop + 2 * MARGIN
        self.taken = self.painted + 2 * SHIFT

    def __call__(
        self, crops: Tensor, paint: Callable[[Tensor], Tensor], grams: Grams, style_weights: Tensor, stability: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The objective and its terms.

        Args:
            crops: (N, 3, taken, taken) in [0, 1].
            paint: the network, in the batch's styles.
            grams: targets, (N, C, C) or (1, C, C) a layer.
            style_weights: (N,).
            stability: the stability term's weight.
        """
        device, side = crops.device, self.painted
        photos = crops[..., SHIFT : SHIFT + side, SHIFT : SHIFT + side].contiguous(memory_format=torch.channels_last)
        inner = (..., slice(MARGIN, side - MARGIN), slice(MARGIN, side - MARGIN))
        moved = torch.randint(-SHIFT, SHIFT + 1, (2,), device=device)
        place = torch.arange(side, device=device) + SHIFT
        other = crops.index_select(2, place + moved[0]).index_select(3, place + moved[1])
        gain = 1 + GAIN * (2 * torch.rand((), device=device) - 1)
        lift = LIFT * (2 * torch.rand((), device=device) - 1)
        with torch.no_grad():
            clean = photos[inner].contiguous(memory_format=torch.channels_last)
            content = self.features(clean, [CONTENT])[CONTENT].float()
            twin = paint((other * gain + lift).contiguous(memory_format=torch.channels_last)).float()
        painted = paint(_noisy(photos)).float()
        found = self.features(painted[inner].contiguous(memory_format=torch.channels_last), LAYERS)
        content_loss = (found[CONTENT].float() - content).square().mean((1, 2, 3))
        style_loss = sum((gram_matrix(found[layer]) - target).square().mean((1, 2)) for layer, target in grams.items())
        drift = self._drift(painted, twin, moved, gain, lift)
        total = (content_loss + style_weights * style_loss).mean() + stability * drift
        return total, {
            "content": content_loss.mean().detach(),
            "style": (style_weights * style_loss).mean().detach(),
            "drift": stability * drift.detach(),
        }

    def _drift(self, painted: Tensor, twin: Tensor, moved: Tensor, gain: Tensor, lift: Tensor) -> Tensor:
        """What is painted of the same place of the world, twice: the part that both see whatever the shift."""
        room = EDGE + SHIFT
        place = torch.arange(self.painted - 2 * room, device=painted.device) + room
        same = twin.index_select(2, place - moved[0]).index_select(3, place - moved[1])
        mine = painted[..., room : self.painted - room, room : self.painted - room]
        return F.mse_loss(mine * gain + lift, same)


def _noisy(photos: Tensor) -> Tensor:
    """A sensor's noise and a codec's blocks, as `fst.data.noise` has them."""
    count, _, height, width = photos.shape
    device = photos.device
    most = NOISE / 255
    grain = torch.randn_like(photos) * (most * torch.rand(count, 1, 1, 1, device=device))
    blocks = torch.randn(count, 3, height // 8 + 1, width // 8 + 1, device=device)
    blocks = blocks * (0.5 * most * torch.rand(count, 1, 1, 1, device=device))
    return photos + grain + F.interpolate(blocks, scale_factor=8)[..., :height, :width]
