"""Photo files: which are held out, how they are cropped, and what becomes of those that cannot be read."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from fst import images
from fst.data.order import CROPS, SHUFFLE, generator
from fst.errors import UserError

HELD_OUT_SHARE = 5  # at most one photo in five is held out

Held = list[tuple[str, torch.Tensor]]  # name and uint8 (3, size, size) of held-out pictures


class Photos:
    """Image files under a folder, and which of them could not be read: a count that worker processes share."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.paths = [str(path) for path in images.files(root)]
        self.unreadable = torch.zeros(len(self.paths), dtype=torch.uint8).share_memory_()

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def skipped(self) -> int:
        return int(self.unreadable.sum())

    def name(self, index: int) -> str:
        """The path below the root, with forward slashes."""
        return Path(self.paths[index]).relative_to(self.root).as_posix()

    def read(self, index: int, at_least: int) -> np.ndarray | None:
        """The photo, decoded with its short side at `at_least` pixels or more if it has them; None: unreadable."""
        try:
            return images.read(self.paths[index], at_least=at_least)
        except UserError:
            self.unreadable[index] = 1
            return None


class TrainingPhotos(Dataset):
    """Sample i is a pure function of (seed, i): which photo, what scale, where the crop, whether flipped.

    Each epoch (`i // photos`) goes through all photos in an order of its own. A photo that cannot be read is replaced
    by another, drawn from the same sample's generator.
    """

    def __init__(
        self, photos: Photos, chosen: list[int], *, size: int, shorts: tuple[int, int], flip: bool, seed: int
    ) -> None:
        self.photos, self.chosen = photos, np.asarray(chosen)
        self.size, self.shorts, self.flip, self.seed = size, shorts, flip, seed
        self._orders: dict[int, np.ndarray] = {}

    def __getitem__(self, index: int) -> torch.Tensor | UserError:
        """uint8 (3, size, size). An error is handed back, not raised: raised in a worker it would be a traceback."""
        rng = generator(self.seed, CROPS, index)
        where = rng.random(4)
        short = round(self.shorts[0] + (self.shorts[1] - self.shorts[0]) * where[0])
        for photo in self._candidates(index, rng):
            pixels = self.photos.read(photo, short)
            if pixels is not None:
                cropped = crop(pixels, self.size, short, where[1], where[2])
                return as_tensor(cropped[:, ::-1] if self.flip and where[3] < 0.5 else cropped)
        return UserError(f"none of the {len(self.chosen)} training photos in {self.photos.root} can be read any more")

    def _candidates(self, index: int, rng: np.random.Generator) -> Iterator[int]:
        epoch, position = divmod(index, len(self.chosen))
        if epoch not in self._orders:
            self._orders = {epoch: generator(self.seed, SHUFFLE, epoch).permutation(self.chosen)}
        yield self._orders[epoch][position]
        yield from self.chosen[rng.permutation(len(self.chosen))]


def hold_out(photos: Photos, count: int, size: int) -> tuple[Held, list[int]]:
    """The centre crops of the first `count` readable photos by hash, and the other indices.

    The order depends on the photos' names alone: not on the seed, and little on added photos. A crop's name is the
    photo's number and file name, unique and without slashes: 00_bridge.
    """
    held: Held = []
    order = sorted(range(len(photos)), key=lambda index: hashlib.sha1(os.fsencode(photos.name(index))).digest())
    for position, index in enumerate(order):
        if len(held) == count:
            return held, sorted(order[position:])
        pixels = photos.read(index, size)
        if pixels is not None:
            name = f"{len(held):02d}_{Path(photos.paths[index]).stem}"
            held.append((name, as_tensor(crop(pixels, size, size, 0.5, 0.5))))
    if not held:
        raise UserError(f"none of the {len(photos)} images in {photos.root} can be read, as {photos.paths[0]}")
    return held, []


def split(photos: Photos, count: int, size: int) -> tuple[Held, list[int]]:
    """As `hold_out`, with at least one photo held out and at most a fifth, and one left that can be read."""
    held, rest = hold_out(photos, min(count, max(1, len(photos) // HELD_OUT_SHARE)), size)
    if not any(photos.read(index, size) is not None for index in rest):
        raise UserError(
            f"{photos.root} has too few photos that can be read: training needs one besides the {len(held)} held out"
        )
    return held, rest


def crop(pixels: np.ndarray, size: int, short: int, top: float, left: float) -> np.ndarray:
    """A `size` square of the photo as it looks with its short side at `short` pixels, antialiased.

    `top` and `left`, in [0, 1], place the square between one end of the photo and the other; a photo smaller than the
    square is enlarged.
    """
    height, width = pixels.shape[:2]
    side = size * min(height, width) / short
    y, x = top * (height - side), left * (width - side)
    return images.resize(pixels, (size, size), box=(y, x, side, side))


def as_tensor(pixels: np.ndarray) -> torch.Tensor:
    """uint8 (H, W, 3) -> uint8 (3, H, W), contiguous."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
