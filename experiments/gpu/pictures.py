"""Photos and paintings in the accelerator's memory, and what a step takes of them: all without the host."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fst import images, store
from fst.errors import UserError

SIDE, LONGEST = 288, 432  # of a picture's short edge; of its long one, cut beyond
PHOTOS = ("imagenet-sample", "coco", "photos")
HELD_OUT = 16
SKY, SHAPES = 112, (4, 8, 16, 28)  # pixels: of a smooth sky's edge, and of the shapes that are left of a photo


class Bank:
    """Pictures of different sizes as one tensor uint8 (K, 3, room, room), room for the longest, and where each ends.

    Args:
        files: images.
        side: the short edge that they are brought to.
    """

    def __init__(self, files: list[Path], device: str, side: int = SIDE) -> None:
        self.files = files
        with ThreadPoolExecutor() as pool:
            pictures = list(pool.map(lambda file: _shrunk(images.read(file), side), files))
        room = max(max(picture.shape[:2]) for picture in pictures)
        canvas = np.zeros((len(pictures), room, room, 3), np.uint8)
        for place, picture in zip(canvas, pictures, strict=True):
            place[: picture.shape[0], : picture.shape[1]] = picture
        self.pixels = torch.from_numpy(canvas).permute(0, 3, 1, 2).to(device)
        self.sizes = torch.tensor([picture.shape[:2] for picture in pictures], dtype=torch.float32, device=device)

    def crops(self, count: int, side: int, least: float = 0.65, index: Tensor | None = None) -> Tensor:
        """Random crops (N, 3, side, side) in [0, 1], half of them mirrored and half of them enlarged.

        Args:
            count: N.
            side: their edge.
            least: the smallest part of `side` whose pixels are enlarged to it.
            index: which pictures; None: any.
        """
        device = self.pixels.device
        if index is None:
            index = torch.randint(len(self.pixels), (count,), device=device)
        size = self.sizes[index]
        most = size.min(1).values.clamp(max=side)
        enlarged = torch.rand(count, device=device) < 0.5
        taken = torch.where(enlarged, (torch.rand(count, device=device) * (1 - least) + least) * side, most)
        taken = torch.minimum(taken, most)
        corner = (torch.rand(count, 2, device=device) * (size - taken[:, None] + 1)).floor()
        corner = torch.minimum(corner, (size - taken[:, None]).clamp(min=0))
        step = (torch.arange(side, device=device) + 0.5)[None] / side * taken[:, None]  # in the picture's pixels
        rows, columns = corner[:, :1] + step, corner[:, 1:] + step
        mirrored = torch.rand(count, 1, device=device) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
        room = self.pixels.shape[-1]
        grid = torch.stack([columns[:, None, :].expand(-1, side, -1), rows[:, :, None].expand(-1, -1, side)], dim=-1)
        found = self.pixels[index].float()
        return F.grid_sample(found, grid * (2 / room) - 1, padding_mode="border", align_corners=False).div_(255)

    def skies(self, each: int = 1) -> Tensor:
        """Smooth skies (4·each, 3, SKY, SKY): photos of which only large shapes are left, and a camera's grain."""
        crops = self.crops(len(SHAPES) * each, SKY).split(each)
        coarse = [F.avg_pool2d(crop, shape) for crop, shape in zip(crops, SHAPES, strict=True)]
        size, how = (SKY, SKY), {"mode": "bicubic", "align_corners": False}
        smooth = torch.cat([F.interpolate(shape, size, **how).clamp(0, 1) for shape in coarse])
        grain = torch.randn_like(smooth) * (0.01 * torch.rand(len(smooth), 1, 1, 1, device=smooth.device))
        return (smooth + grain).contiguous(memory_format=torch.channels_last)


def photos(device: str) -> tuple[Bank, list[Path]]:
    """The store's photos but for a few, and those few; a store without any is a UserError."""
    folders = [found for folder in PHOTOS if (found := store.find(folder)) is not None]
    if not folders:
        raise UserError(f"{store.home()} has no photos to train on: put some into one of {', '.join(PHOTOS)}")
    files = [file for folder in folders for file in images.files(folder)]
    held = files[len(files) // (2 * HELD_OUT) :: max(1, len(files) // HELD_OUT)][:HELD_OUT]
    return Bank([file for file in files if file not in held], device), held


def painting(path: Path, long_edge: int = 512) -> Tensor:
    """(1, 3, H, W) in [0, 1], its long edge as `style.size` has it."""
    pixels = images.read(path)
    height, width = images.fit_long_edge(*pixels.shape[:2], long_edge)
    return images.to_tensor(images.resize(pixels, (height, width)))


def _shrunk(picture: np.ndarray, side: int) -> np.ndarray:
    height, width = picture.shape[:2]
    scale = side / min(height, width)
    if scale < 1:
        size = (max(side, round(width * scale)), max(side, round(height * scale)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    height, width = picture.shape[:2]
    top, left = max(0, height - LONGEST) // 2, max(0, width - LONGEST) // 2
    return picture[top : top + LONGEST, left : left + LONGEST]
