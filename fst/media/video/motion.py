"""Where a frame's pixels were in an earlier frame, and which of them can be compared: optical flow, there and back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

FAST, EXACT = cv2.DISOPTICAL_FLOW_PRESET_FAST, cv2.DISOPTICAL_FLOW_PRESET_MEDIUM
SMALLEST = 32  # pixels, of an edge of what is searched


@dataclass(frozen=True)
class Motion:
    """From a frame to an earlier one."""

    places: np.ndarray  # float32 (H, W, 2), the pixel (x, y) of the earlier frame
    seen: np.ndarray  # bool (H, W), what was not hidden there
    length: np.ndarray  # float32 (H, W), how far it moved, in pixels


class Flow:
    """Motion by dense inverse search (Kroeger et al. 2016): EXACT, or FAST, in a fifth of the time."""

    def __init__(self, preset: int = EXACT) -> None:
        self._search = cv2.DISOpticalFlow_create(preset)

    def between(self, now: np.ndarray, before: np.ndarray) -> Motion:
        """The motion from a frame to an earlier one, both uint8 (H, W, 3) RGB."""
        height, width = now.shape[:2]
        grey = [_grey(frame) for frame in (now, before)]
        back, forth = (self._search.calc(*pair, None)[:height, :width] for pair in (grey, grey[::-1]))
        places = back + grid(height, width)
        x, y = cv2.split(places)
        inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
        # A pixel that was hidden before does not come back to where it began; the bound is Sundaram et al.'s (2010).
        returned = warped(forth, places)
        came_back = _squared(back + returned) < 0.01 * (_squared(back) + _squared(returned)) + 0.5
        return Motion(places, inside & came_back, np.sqrt(_squared(back)))


def _grey(frame: np.ndarray) -> np.ndarray:
    """Grey levels, (H, W), grown at the bottom and right to what the search can take: it crashes at less."""
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    bottom, right = (max(0, SMALLEST - edge) for edge in grey.shape)
    return cv2.copyMakeBorder(grey, 0, bottom, 0, right, cv2.BORDER_REPLICATE) if bottom or right else grey


def warped(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """What an earlier frame's values (H, W) or (H, W, C) are at places (H, W, 2) of it, float32."""
    return cv2.remap(values.astype(np.float32), places, None, cv2.INTER_LINEAR)


def apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The mean over colours of the absolute difference, float32 (H, W)."""
    return cv2.transform(np.abs(one.astype(np.float32) - other), np.full((1, 3), 1 / 3))


@lru_cache(maxsize=4)
def grid(height: int, width: int) -> np.ndarray:
    """Each pixel's own place (x, y), float32 (H, W, 2); not to be changed."""
    return np.dstack(np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)))


def _squared(vectors: np.ndarray) -> np.ndarray:
    x, y = cv2.split(vectors)
    return x * x + y * y
