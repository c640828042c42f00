"""A film's frames as codecs have them: 4:2:0, in 8 bits; and their pixels folded into channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

CHANNELS = 6  # of a folded square


class Matrix(NamedTuple):
    """How RGB becomes Y'CbCr: the shares of red and blue in luma, and whether levels are 0..255 (else 16..235)."""

    red: float
    blue: float
    full: bool


class Planes(NamedTuple):
    """One frame: uint8 luma (H, W), blue and red difference (H/2, W/2); H and W are even."""

    luma: np.ndarray
    blue: np.ndarray
    red: np.ndarray
    matrix: Matrix

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W)."""
        return self.luma.shape

    def each(self, work: Callable[[np.ndarray, int], np.ndarray]) -> Planes:
        """Planes made by `work(plane, of)`, where a pixel of the frame is 1/of of the plane's."""
        return Planes(work(self.luma, 1), work(self.blue, 2), work(self.red, 2), self.matrix)

    def cropped(self, top: int, left: int, height: int, width: int) -> Planes:
        """A part, as views; all even."""
        return self.each(lambda plane, of: plane[top // of :, left // of :][: height // of, : width // of])


def folded(planes: Planes) -> np.ndarray:
    """Planes of a frame of even sides, as uint8 (H/2, W/2, CHANNELS).

    The channels of a square of 2×2 pixels are its luma row by row, then its blue and its red difference. OpenCV moves
    a row, which is as wide as a number of 16 bits, at a time.
    """
    rows = [planes.luma.view(np.int16)[row::2] for row in (0, 1)]
    differences = cv2.merge(planes[1:3]).view(np.int16)[..., 0]
    return cv2.merge([*rows, differences]).view(np.uint8)


def unfolded(squares: np.ndarray, matrix: Matrix) -> Planes:
    """The inverse of `folded`."""
    height, width = squares.shape[:2]
    luma = np.empty((2 * height, 2 * width), np.uint8)
    differences = np.empty((height, width, 2), np.uint8)
    rows = [luma.view(np.int16)[row::2] for row in (0, 1)]
    cv2.split(squares.view(np.int16), [*rows, differences.view(np.int16)[..., 0]])
    return Planes(luma, *cv2.split(differences), matrix)
