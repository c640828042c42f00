"""Painted films that flicker less: what is done to each painted frame, by the name of a setting.

A network decides anew at each frame where its strokes lie, and a camera's noise is enough to move them; a painter does
not repaint the wall at every frame. So a pixel's paint is kept until its source is no longer what that paint was made
from. The comparison is with that source, not with the frame before: slow changes add up until they are seen, and kept
paint does not drift. `fst.media.video.blend` has what also moves along.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from fst.errors import UserError
from fst.media.video.blend import Blend
from fst.stylize.planes import Planes
from fst.values import one_of

KEPT, NEW = 3.0, 8.0  # levels of 255 that a source changes by: up to the first its paint is kept, from the second new
NEIGHBOURS = 5  # pixels square of the half-size picture, over which change is averaged: so noise is none
HEALING = 0.02  # of the new paint that is always taken: what was kept wrongly goes within two seconds


class Hold:
    """One film or one viewer's camera, frame by frame: a painted frame comes back with the paint before in it.

    Memory: the paint, and its source at half its size.
    """

    def __init__(self) -> None:
        self._source: np.ndarray | None = None  # what the paint was made from, (H/2, W/2, 3)
        self._paint: np.ndarray | Planes | None = None
        self._how: object = None

    def __call__(
        self, source: np.ndarray | Planes, painted: np.ndarray | Planes, how: object = None
    ) -> np.ndarray | Planes:
        """Keep the paint before where the source, uint8 (H, W, 3) RGB or Planes, is still the same.

        Where the size, or how it was painted, is not as before, paint begins anew.
        """
        halved = _halved(source)
        if self._source is None or self._source.shape != halved.shape or self._how != how:
            self._source, self._paint, self._how = halved, painted, how
            return painted
        change = cv2.blur(_largest(cv2.absdiff(halved, self._source)), (NEIGHBOURS, NEIGHBOURS))
        share = np.clip((change - KEPT) / (NEW - KEPT), HEALING, 1)
        self._source = cv2.blendLinear(halved, self._source, share, 1 - share)
        self._paint = _blended(painted, self._paint, share)
        return self._paint


def _halved(frame: np.ndarray | Planes) -> np.ndarray:
    """Luma and colour differences at half the size, float32 (H/2, W/2, 3)."""
    height, width = ((edge + 1) // 2 for edge in frame.shape[:2])
    if isinstance(frame, Planes):
        luma = cv2.resize(frame.luma, (width, height), interpolation=cv2.INTER_AREA)
        return cv2.merge([luma, frame.blue, frame.red]).astype(np.float32)
    small = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_RGB2YCrCb).astype(np.float32)


def _largest(values: np.ndarray) -> np.ndarray:
    first, second, third = cv2.split(values)
    return cv2.max(first, cv2.max(second, third))


def _blended(new: np.ndarray | Planes, old: np.ndarray | Planes, share: np.ndarray) -> np.ndarray | Planes:
    height, width = new.shape[:2]
    wide = cv2.resize(share, (width, height))
    if not isinstance(new, Planes):
        return cv2.blendLinear(new, old, wide, 1 - wide)
    pairs = zip(new[:3], old[:3], (wide, share, share), strict=True)
    return Planes(*(cv2.blendLinear(*pair, part, 1 - part) for *pair, part in pairs), new.matrix)


WAYS: dict[str, tuple[type, ...]] = {"hold": (Hold,), "flow": (Blend, Hold), "none": ()}


def steadier(way: str) -> Callable[[np.ndarray | Planes, np.ndarray | Planes], np.ndarray | Planes]:
    """What makes one film steadier by one of WAYS: of each source and painted frame, in order, the frame to show.

    "flow" looks for motion in RGB, and so takes no Planes.
    """
    steps = [step() for step in WAYS[way]]

    def shown(source: np.ndarray | Planes, painted: np.ndarray | Planes) -> np.ndarray | Planes:
        for step in steps:
            painted = step(source, painted)
        return painted

    return shown


def check(way: str, *, film: bool) -> None:
    """Refuse, by a UserError, a way that is unknown, or flow for something other than a film painted to a file."""
    one_of("stabilize", way, WAYS)
    if way == "flow" and not film:
        raise UserError("stabilize=flow is for films that are written to a file: leave it out for photos and live")
