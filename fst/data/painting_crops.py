"""Paintings to learn any style from: which of a folder are held out, and crops of the others."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fst import images, store
from fst.errors import UserError
from fst.files import expanded

HELD_OUT_EVERY = 16  # by name
SHORT, SEEN = 320, 288  # pixels: of a painting's short edge, and of the crop of it that is seen
LEAST = 0.7  # of SEEN: what is enlarged to it at most
COPIES = 4  # crops of a painting; the last has other colours


def split(folder: str | None) -> tuple[list[Path], list[Path]]:
    """The paintings of a folder (None: the store's) to learn from, and those held out; UserError for too few."""
    found = store.find("paintings") if folder is None else expanded(folder)
    if found is None:
        raise UserError("a predictor learns from a folder of paintings: style.paintings=FOLDER")
    files = images.files(found)
    held = files[HELD_OUT_EVERY // 2 :: HELD_OUT_EVERY]
    del files[HELD_OUT_EVERY // 2 :: HELD_OUT_EVERY]
    if not held:
        raise UserError(f"style.paintings={found} has {len(files)} paintings, but it takes {HELD_OUT_EVERY} or more")
    return files, held


def crops(file: Path, seed: int) -> list[Tensor]:
    """Float (1, 3, SEEN, SEEN) in [0, 1] of a painting, at scales of their own and half of them mirrored."""
    rng, pixels = np.random.default_rng(seed), images.read(file, at_least=SHORT)
    found = []
    for copy in range(COPIES):
        short = min(pixels.shape[:2])
        side = SEEN * (rng.uniform(LEAST, 1) if rng.random() < 0.5 else 1.0) * max(short / SHORT, 1)
        side = min(side, short)
        top, left = (rng.uniform(0, edge - side) for edge in pixels.shape[:2])
        crop = images.to_tensor(images.resize(pixels, (SEEN, SEEN), box=(top, left, side, side)))
        crop = crop.flip(3) if rng.random() < 0.5 else crop
        found.append(_turned(crop, rng) if copy == COPIES - 1 else crop)
    return found


def _turned(crop: Tensor, rng: np.random.Generator) -> Tensor:
    """With other colours: its channels in another order, and its contrast changed."""
    mean = crop.mean((2, 3), keepdim=True)
    return (crop - mean).mul(rng.uniform(0.7, 1.3)).add(mean)[:, torch.from_numpy(rng.permutation(3))].clamp(0, 1)
