"""Photos for tests: small, each recognisable by its colour."""

from pathlib import Path

import numpy as np
from PIL import Image


def make_photos(folder: Path, count: int, *, size: tuple[int, int] = (40, 48), suffix: str = ".png") -> Path:
    """A folder of `count` noisy photos (height, width), in two subfolders."""
    for index in range(count):
        rng = np.random.default_rng(index)
        pixels = rng.integers(0, 256, 3) * 0.8 + rng.integers(0, 50, (*size, 3))
        target = folder / "ab"[index % 2] / f"photo{index:03d}{suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(target)
    return folder
