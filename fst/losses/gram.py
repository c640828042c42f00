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


def gram_matrix(features: Tensor, regions: Tensor | None = None) -> Tensor:
    """Gram matrices F Fᵀ / (C·H·W), fp32: (N, C, H, W) -> (N, C, C).

    With masks (R, 1, any, any) in [0, 1] one a region of a single image, over its share of H·W: -> (R, C, C).
    """
    count, channels, height, width = features.shape
    # Channels last this is a view: no copy of the largest tensors of a training step.
    pixels = features.float().permute(0, 2, 3, 1).reshape(count, height * width, channels)
    if regions is None:
        return _PixelGram.apply(pixels) / (channels * height * width)
    pixels = pixels[0]
    masks = F.interpolate(regions, (height, width), mode="area").flatten(1)
    grams = [(pixels * mask[:, None]).T @ pixels / (channels * mask.sum().clamp(min=1e-6)) for mask in masks]
    return torch.stack(grams)


def scaled(image: Tensor, scale: float) -> Tensor:
    """(N, 3, H, W) at a fraction of its size, antialiased."""
    if scale == 1.0:
        return image
    return F.interpolate(image, scale_factor=scale, mode="bilinear", antialias=True, align_corners=False)
