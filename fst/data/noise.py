"""Noise as a camera's: what a network has to overlook, so that films of it do not flicker."""

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 8  # pixels: a codec's


def with_noise(photos: Tensor, levels: float) -> Tensor:
    """Photos (N, 3, H, W) in [0, 1] with noise, each of a random strength: a sensor's by pixels, a codec's by blocks.

    `levels` is the largest standard deviation, of 255; half of it for blocks. All is drawn on the photos' device, so
    that a CUDA graph can be made of this.
    """
    if not levels:
        return photos

    def grain(like: Tensor, most: float) -> Tensor:
        return torch.randn_like(like) * (most * torch.rand(len(like), 1, 1, 1, device=like.device))

    blocks = grain(photos[..., ::BLOCK, ::BLOCK], levels / 255 / 2)
    blocks = F.interpolate(blocks, scale_factor=BLOCK, mode="nearest")
    return photos + grain(photos, levels / 255) + blocks[..., : photos.shape[-2], : photos.shape[-1]]
