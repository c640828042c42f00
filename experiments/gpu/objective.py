"""The objective of a step, for a batch with a style each: content and style by VGG-16, and the terms of networks."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from experiments.gpu.captured import compiled
from fst.data.noise import with_noise
from fst.losses.gram import gram_matrix
from fst.losses.terms.checkerboard import repetition
from fst.losses.terms.evenness import unevenness
from fst.losses.terms.stability import GAIN, LIFT
from fst.losses.vgg import VGGFeatures
from fst.losses.weights import load_features

LAYERS = ("relu1_2", "relu2_2", "relu3_3")
CONTENT = "relu2_2"
MARGIN, NOISE = 8, 6.0  # as method.margin and method.noise have them
SHIFT = 48  # as loss.stability_shift has it

Grams = dict[str, Tensor]


def extractor(device: str, dtype: torch.dtype = torch.float32) -> VGGFeatures:
    """VGG-16, channels last."""
    return load_features(LAYERS).to(device, memory_format=torch.channels_last).in_precision(dtype)


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
        checkerboard: the checkerboard term's weight.
        evenness: the evenness term's weight.
        fused: compare by a compiled function.
    """

    def __init__(
        self, features: VGGFeatures, crop: int, checkerboard: float = 0, evenness: float = 0, *, fused: bool = False
    ) -> None:
        self.features, self.checkerboard, self.evenness = features, checkerboard, evenness
        self._compare = compiled(compared) if fused else compared
        self.painted = crop + 2 * MARGIN
        self.taken = self.painted + SHIFT

    def __call__(
        self, crops: Tensor, paint: Callable[[Tensor], Tensor], grams: Grams, style_weights: Tensor, stability: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The objective and its terms.

        Args:
            crops: (N, 3, taken, taken) in [0, 1].
            paint: the network, in the batch's styles.
            grams: targets, (N, C, C) or (1, C, C) a layer.
            style_weights: (N,).
            stability: the stability term's weight; 0: no moved twin is painted.
        """
        device, side = crops.device, self.painted
        place = torch.randint(SHIFT + 1, (2, 1), device=device) + torch.arange(side, device=device)
        photos = _at(crops, place)
        inner = (..., slice(MARGIN, side - MARGIN), slice(MARGIN, side - MARGIN))
        gain = 1 + GAIN * (2 * torch.rand((), device=device) - 1)
        lift = LIFT * (2 * torch.rand((), device=device) - 1)
        painted = paint(with_noise(photos, NOISE)).float()
        content_loss, style_loss = self._compare(self.features, photos[inner], painted[inner], grams)
        total, drift = (content_loss + style_weights * style_loss).mean(), painted.new_zeros(())
        if stability:
            with torch.no_grad():
                twin = paint((crops * gain + lift).contiguous(memory_format=torch.channels_last)).float()
            drift = F.mse_loss(painted * gain + lift, _at(twin, place))
            total = total + stability * drift
        if self.checkerboard:
            total = total + self.checkerboard * repetition(painted[inner])
        if self.evenness:
            total = total + self.evenness * unevenness(photos[inner], painted[inner])
        return total, {
            "content": content_loss.mean().detach(),
            "style": (style_weights * style_loss).mean().detach(),
            "drift": stability * drift.detach(),
        }


def compared(features: VGGFeatures, photos: Tensor, painted: Tensor, grams: Grams) -> tuple[Tensor, Tensor]:
    """Content and style loss, (N,) each, of pictures painted from photos."""
    with torch.no_grad():
        content = features(photos.contiguous(memory_format=torch.channels_last), [CONTENT])[CONTENT].float()
    found = features(painted.contiguous(memory_format=torch.channels_last), LAYERS)
    content_loss = (found[CONTENT].float() - content).square().mean((1, 2, 3))
    style_loss = sum((gram_matrix(found[layer]) - target).square().mean((1, 2)) for layer, target in grams.items())
    return content_loss, style_loss


def unrest(paint: Callable[[Tensor], Tensor], skies: Tensor) -> Tensor:
    """The checkerboard term of what is painted from smooth skies (N, 3, H, W)."""
    painted = paint(skies).float()[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
    return repetition(painted, window=6)


def _at(pictures: Tensor, place: Tensor) -> Tensor:
    """The part of pictures (N, C, H, W) at the rows and columns of (2, side)."""
    found = pictures.index_select(2, place[0]).index_select(3, place[1])
    return found.contiguous(memory_format=torch.channels_last)
