"""A film's frames as codecs have them: 4:2:0, in 8 bits; and their pixels folded into channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

FOLDS = {2: np.int16, 4: np.int32}  # the edges of squares that can be folded, and numbers as wide as a square's row


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


def channels(fold: int) -> int:
    """How many channels `folded` gives: those of a square, in whole numbers of its rows."""
    return fold * fold * 3 // 2


def folded(planes: Planes, fold: int) -> np.ndarray:
    """Planes of a frame whose sides are multiples of `fold` (2 or 4), as uint8 (H / fold, W / fold, channels).

    A square's channels are its luma row by row, then its blue and its red differences. OpenCV moves a row at a time.
    """
    wide = FOLDS[fold]
    rows = [planes.luma.view(wide)[row::fold] for row in range(fold)]
    if fold == 2:
        rows.append(cv2.merge(planes[1:3]).view(wide)[..., 0])
    else:
        pairs = [[plane.view(np.int16)[row::2] for row in (0, 1)] for plane in planes[1:3]]
        rows += [cv2.merge(pair).view(wide)[..., 0] for pair in pairs]
    return cv2.merge(rows).view(np.uint8)


def unfolded(squares: np.ndarray, fold: int, matrix: Matrix) -> Planes:
    """The inverse of `folded`."""
    wide = FOLDS[fold]
    height, width = squares.shape[0] * fold, squares.shape[1] * fold
    luma = np.empty((height, width), np.uint8)
    blue, red = np.empty((2, height // 2, width // 2), np.uint8)
    rows = [luma.view(wide)[row::fold] for row in range(fold)]
    if fold == 2:
        both = np.empty((*blue.shape, 2), np.uint8)
        cv2.split(squares.view(wide), [*rows, both.view(wide)[..., 0]])
        cv2.split(both, [blue, red])
    else:
        pairs = np.empty((2, *squares.shape[:2], 2), np.int16)
        cv2.split(squares.view(wide), [*rows, *pairs.view(wide)[..., 0]])
        for plane, pair in zip((blue, red), pairs, strict=True):
            cv2.split(pair, [plane.view(np.int16)[row::2] for row in (0, 1)])
    return Planes(luma, blue, red, matrix)
