"""Gram matrices: how often each pair of features occurs together, wherever that is (Gatys et al. 2015)."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


class _PixelGram(torch.autograd.Function):
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
    return _PixelGram.apply(pixels) / (channels * height * width)


def region_grams(features: Tensor, regions: Tensor) -> Tensor:
    """A Gram matrix a region: features (1, C, H, W) and masks (R, 1, any, any) in [0, 1] -> (R, C, C), fp32."""
    channels, size = features.shape[1], features.shape[-2:]
    pixels = features.float().permute(0, 2, 3, 1).reshape(-1, channels)
    grams = []
    for mask in F.interpolate(regions, size, mode="area").flatten(1):
        grams.append((pixels * mask[:, None]).T @ pixels / (channels * mask.sum().clamp(min=1e-6)))
    return torch.stack(grams)


def style_distance(
    grams: Tensor, targets: Tensor, regions: Tensor | None = None, weights: Tensor | None = None
) -> Tensor:
    """The style term of one layer: the mean over the images, or the regions' sum by their shares of the image.

    Args:
        grams: (N, C, C) of the images, or (R, C, C) of one image's regions.
        targets: (N, C, C), one an image or region, or (1, C, C) for all.
        regions: masks (R, 1, H, W).
        weights: (N,) or (1,), of the images; None: 1 each.
    """
    if regions is None and weights is None:
        return F.mse_loss(grams, targets.expand_as(grams))
    if regions is None:
        return ((grams - targets).square().mean((1, 2)) * weights).mean()
    return ((grams - targets).square().mean((1, 2)) * regions.mean((1, 2, 3))).sum()


def scaled(image: Tensor, scale: float) -> Tensor:
    """(N, 3, H, W) at a fraction of its size, antialiased."""
    if scale == 1.0:
        return image
    return F.interpolate(image, scale_factor=scale, mode="bilinear", antialias=True, align_corners=False)
