"""The criterion: content, style and total variation on VGG features (Johnson et al. 2016, section 3.2).

With features F of shape (C, H, W):

    content  mean over all elements of (F - F of the photo)², summed over the content layers
    style    mean over the C×C entries of (G - G of the painting)², G = F Fᵀ / (C·H·W), summed over layers and scales
    tv       mean squared difference of horizontal neighbours plus that of vertical ones, image in [0, 1]

Gram matrices and means are computed in fp32 whatever the precision of the features. With regions (masks m over the
image), each has a Gram matrix of its own, Σ m f fᵀ / (C·Σ m), and its distance counts by its share of the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fst.errors import UserError
from fst.losses.names import layer_names, smallest_side
from fst.losses.vgg import VGGFeatures


class _OfPixels(torch.autograd.Function):
    """Pᵀ P of pixels P (N, pixels, C), whose gradient is one product instead of autograd's two: P (g + gᵀ)."""

    @staticmethod
    def forward(ctx: Any, pixels: Tensor) -> Tensor:
        ctx.save_for_backward(pixels)
        return pixels.transpose(1, 2) @ pixels

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (pixels,) = ctx.saved_tensors
        return pixels @ (gradient + gradient.transpose(1, 2))


def gram_matrix(features: Tensor) -> Tensor:
    """Gram matrices F Fᵀ / (C·H·W): (N, C, H, W) -> (N, C, C), fp32."""
    count, channels, height, width = features.shape
    # Channels last this is a view: no copy of the largest tensors of a training step.
    pixels = features.float().permute(0, 2, 3, 1).reshape(count, height * width, channels)
    return _OfPixels.apply(pixels) / (channels * height * width)


def region_grams(features: Tensor, regions: Tensor) -> Tensor:
    """A Gram matrix a region: features (1, C, H, W) and masks (R, 1, any, any) in [0, 1] -> (R, C, C), fp32."""
    channels, size = features.shape[1], features.shape[-2:]
    pixels = features.float().permute(0, 2, 3, 1).reshape(-1, channels)
    grams = []
    for mask in F.interpolate(regions, size, mode="area").flatten(1):
        grams.append((pixels * mask[:, None]).T @ pixels / (channels * mask.sum().clamp(min=1e-6)))
    return torch.stack(grams)


def total_variation(image: Tensor) -> Tensor:
    """Mean squared difference of neighbours of (N, 3, H, W), horizontal plus vertical."""
    across = (image[..., :, 1:] - image[..., :, :-1]).float().square().mean()
    down = (image[..., 1:, :] - image[..., :-1, :]).float().square().mean()
    return across + down


@dataclass(frozen=True)
class LossTerms:
    """The terms of one evaluation as scalars, before their weights, and the weights they are summed with."""

    content: Tensor
    style: Tensor
    tv: Tensor
    content_weight: float
    style_weight: float
    tv_weight: float
    style_by_layer: dict[str, Tensor] = field(default_factory=dict)

    @property
    def total(self) -> Tensor:
        return self.content_weight * self.content + self.style_weight * self.style + self.tv_weight * self.tv

    def named(self) -> dict[str, Tensor]:
        """Every term under its metric name, without and with its weight."""
        return {
            "loss": self.total,
            "content_loss": self.content,
            "style_loss": self.style,
            "tv_loss": self.tv,
            "content_loss_weighted": self.content_weight * self.content,
            "style_loss_weighted": self.style_weight * self.style,
            "tv_loss_weighted": self.tv_weight * self.tv,
        }


class PerceptualLoss(nn.Module):
    """Content of a photo, style of a painting, on one frozen feature extractor.

    Args:
        features: reaches every layer named below.
        content_layers, style_layers: ReLUs by name.
        style_layer_weights: one a style layer; None for 1 each.
        style_scales: the style terms are summed over these fractions of the image's size, targets at the matching
            size: half size gives a layer twice the reach (Snelgrove 2017).
        content_weight, style_weight, tv_weight: not negative.
    """

    def __init__(
        self,
        features: VGGFeatures,
        *,
        content_layers: Sequence[str] = ("relu2_2",),
        style_layers: Sequence[str] = ("relu1_2", "relu2_2", "relu3_3", "relu4_3"),
        style_layer_weights: Sequence[float] | None = None,
        style_scales: Sequence[float] = (1.0,),
        content_weight: float = 1.0,
        style_weight: float = 1e5,
        tv_weight: float = 0.0,
    ) -> None:
        super().__init__()
        self.features = features
        self.content_layers = tuple(content_layers)
        self.style_layers = tuple(style_layers)
        self.style_layer_weights = tuple(style_layer_weights or [1.0] * len(style_layers))
        self.style_scales = tuple(style_scales)
        self.content_weight = content_weight
        self.style_weight = style_weight
        self.tv_weight = tv_weight
        for index, _, layer in self._style_terms():
            self.register_buffer(_target(index, layer), torch.empty(0), persistent=False)

    @torch.no_grad()
    def set_style(
        self,
        paintings: Sequence[Tensor],
        weights: Sequence[float] | None = None,
        regions: Sequence[Tensor] | None = None,
    ) -> None:
        """Take the Gram matrices of one painting, or the weighted mean of several's, as the style to reach.

        Args:
            paintings: each (1, 3, H, W) in [0, 1]; sizes may differ.
            weights: one a painting, normalised to sum 1; None for equal ones.
            regions: a painting's masks (R, 1, H, W) in [0, 1], for an image with as many regions; a region's style is
                taken from the paintings that have it (mask not empty).

        Raises:
            UserError: a painting smaller than the deepest layer needs.
        """
        shares = torch.tensor(weights or [1.0] * len(paintings)).view(-1, 1, 1, 1).to(paintings[0].device)
        if regions is not None:
            present = torch.stack([masks.flatten(1).amax(1) > 0 for masks in regions])
            shares = shares * present[:, :, None, None]
        shares = shares / shares.sum(0)
        for index, scale in enumerate(self.style_scales):
            masks = regions or [None] * len(paintings)
            grams = [self._grams(painting, scale, mask) for painting, mask in zip(paintings, masks, strict=True)]
            for layer in self.style_layers:
                mixed = sum(share * gram[layer] for share, gram in zip(shares, grams, strict=True))
                setattr(self, _target(index, layer), mixed)

    @torch.no_grad()
    def content_target(self, photo: Tensor) -> dict[str, Tensor]:
        """The photo's features at the content layers, computed no deeper than those and without gradient."""
        if self.content_weight == 0:
            return {}
        with torch.autocast(photo.device.type, enabled=False):
            return self.features(photo.float(), self.content_layers)

    def style_size(self) -> float:
        """The style loss of a picture without any features, Σ of the targets' mean squares: how large they are."""
        weights = dict(zip(self.style_layers, self.style_layer_weights, strict=True))
        return sum(
            weights[layer] * self.style_target(index, layer).square().mean().item()
            for index, _, layer in self._style_terms()
        )

    def style_target(self, index: int, layer: str) -> Tensor:
        """The Gram matrices to reach at a style layer and `style_scales[index]`: (1, C, C), or one a region."""
        return getattr(self, _target(index, layer))

    def forward(self, image: Tensor, content: dict[str, Tensor], regions: Tensor | None = None) -> LossTerms:
        """Compare RGB (N, 3, H, W) in about [0, 1] with a `content_target` and the style.

        With `regions`, masks (R, 1, H, W) in [0, 1], N is 1 and the style was set with as many regions.
        """
        with torch.autocast(image.device.type, enabled=False):
            image = image.float()
            wanted = [*content, *(self.style_layers if self.style_weight and 1.0 in self.style_scales else ())]
            found = self.features(image, wanted) if wanted else {}
            zero = image.new_zeros(())
            distances = [F.mse_loss(found[layer].float(), content[layer].float()) for layer in content]
            by_layer = self._style_distances(image, found, regions) if self.style_weight else {}
            return LossTerms(
                content=sum(distances, zero),
                style=sum(by_layer.values(), zero),
                tv=total_variation(image) if self.tv_weight else zero,
                content_weight=self.content_weight,
                style_weight=self.style_weight,
                tv_weight=self.tv_weight,
                style_by_layer=by_layer,
            )

    def _style_distances(self, image: Tensor, found: dict[str, Tensor], regions: Tensor | None) -> dict[str, Tensor]:
        distances = {}
        for index, scale in enumerate(self.style_scales):
            features = found if scale == 1.0 else self.features(scaled(image, scale), self.style_layers)
            for layer, weight in zip(self.style_layers, self.style_layer_weights, strict=True):
                gram = gram_matrix(features[layer]) if regions is None else region_grams(features[layer], regions)
                distance = style_distance(gram, self.style_target(index, layer), regions)
                distances[term_name(layer, scale)] = weight * distance
        return distances

    def _grams(self, painting: Tensor, scale: float, regions: Tensor | None) -> dict[str, Tensor]:
        small = scaled(painting, scale)
        needed = smallest_side(self.style_layers)
        if min(small.shape[-2:]) < needed:
            height, width = painting.shape[-2:]
            deepest = max(self.style_layers, key=layer_names(self.features.architecture).index)
            raise UserError(f"the painting, {width}×{height}, is too small for {deepest}; raise style.size")
        found = self.features(small, self.style_layers)
        if regions is not None:
            return {layer: region_grams(found[layer], regions) for layer in self.style_layers}
        return {layer: gram_matrix(found[layer]) for layer in self.style_layers}

    def _style_terms(self) -> list[tuple[int, float, str]]:
        return [(index, scale, layer) for index, scale in enumerate(self.style_scales) for layer in self.style_layers]


def _target(index: int, layer: str) -> str:
    return f"style_target_{index}_{layer}"


def style_distance(grams: Tensor, targets: Tensor, regions: Tensor | None = None) -> Tensor:
    """The style term of one layer: the mean over the images, or the regions' sum by their shares of the image."""
    if regions is None:
        return F.mse_loss(grams, targets.expand_as(grams))
    return ((grams - targets).square().mean((1, 2)) * regions.mean((1, 2, 3))).sum()


def term_name(layer: str, scale: float) -> str:
    """A style term's name: relu1_2, or relu1_2@0.5 at half size."""
    return layer if scale == 1.0 else f"{layer}@{scale:g}"


def scaled(image: Tensor, scale: float) -> Tensor:
    """(N, 3, H, W) at a fraction of its size, antialiased."""
    if scale == 1.0:
        return image
    return F.interpolate(image, scale_factor=scale, mode="bilinear", antialias=True, align_corners=False)
