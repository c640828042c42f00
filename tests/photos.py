"""Photos for tests: small, each recognisable by its colour."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

STORE = os.environ.get("FST_HOME")  # as the tests were started: most then set one of their own


def real_photos(height: int, width: int) -> list[np.ndarray]:
    """The real store's content photos at one size; skips the test where there are none."""
    from fst import images

    found = sorted(Path(STORE or "", "content").glob("*.jpg")) if STORE else []
    if not found:
        pytest.skip("needs real photos: set FST_HOME to a store that holds content/*.jpg")
    return [images.resize(images.read(path), (height, width)) for path in found]


def make_photos(folder: Path, count: int, *, size: tuple[int, int] = (40, 48), suffix: str = ".png") -> Path:
    """A folder of `count` noisy photos (height, width), in two subfolders."""
    for index in range(count):
        rng = np.random.default_rng(index)
        pixels = rng.integers(0, 256, 3) * 0.8 + rng.integers(0, 50, (*size, 3))
        target = folder / "ab"[index % 2] / f"photo{index:03d}{suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(target)
    return folder
