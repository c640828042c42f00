"""Noise as a camera's: what a network has to overlook, so that films of it do not flicker."""

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 8  # pixels: a codec's


def with_noise(photos: Tensor, levels: float) -> Tensor:
    """Photos (N, 3, H, W) in [0, 1] with noise of a random strength, of a sensor by pixels and of a codec by blocks.

    `levels` is the largest standard deviation, of 255; half of it for blocks.
    """
    if not levels:
        return photos
    deviation = levels / 255
    sensor = torch.randn_like(photos) * (deviation * torch.rand(()).item())
    size = [-(-edge // BLOCK) for edge in photos.shape[-2:]]
    blocks = torch.randn(*photos.shape[:2], *size, device=photos.device) * (deviation / 2 * torch.rand(()).item())
    blocks = F.interpolate(blocks, scale_factor=BLOCK, mode="nearest")
    return photos + sensor + blocks[..., : photos.shape[-2], : photos.shape[-1]]
