"""A painted film that keeps its paint: what was painted before moves along with the film and is blended in.

The painted frame before, warped along the source's own motion, is what the new one is drawn towards, where it may be
(Ruder, Dosovitskiy, Brox 2016, "Artistic style transfer for videos"): not where the flow does not come back to where it
began, which is uncovered or was outside, and the less the more the source has changed along its motion. That change is
averaged over neighbours, so that noise is none and a fade is one. Ruder's third mask, of motion's edges, is left out:
it took half of the effect on small pictures, and the change finds the same edges.
"""

from __future__ import annotations

import cv2
import numpy as np

from fst.media.video.motion import FAST, Flow, apart, grid, warped

SHARE = 0.9  # of the paint before, where nothing changed: a change of the paint has come by two thirds in ten frames
CHANGED = 3.0  # levels of the source's change along its motion that leave 1/e of the share
NEIGHBOURS = 7  # pixels square over which a change is averaged
CUT_CHANGED, CUT_FOUND = 0.25, 0.1  # a cut: more than this of a frame changed, and less than this of that was found
LONG_EDGE = 640  # pixels, at most, of the pictures in which motion is looked for


class Blend:
    """One film, frame by frame: a painted frame comes back with the paint before in it."""

    def __init__(self) -> None:
        self._flow = Flow(FAST)
        self._small: np.ndarray | None = None
        self._paint: np.ndarray | None = None  # unrounded, or faint differences would stay for ever

    def __call__(self, source: np.ndarray, painted: np.ndarray) -> np.ndarray:
        """Blend one frame, uint8 (H, W, 3), with what came of those before. The first, or after a cut, stays."""
        small, paint = _small(source), painted.astype(np.float32)
        if self._small is not None:
            kept = _kept(self._flow, small, self._small)
            if kept is not None:
                _draw(paint, self._paint, *kept)
        self._small, self._paint = small, paint
        return np.rint(paint).astype(np.uint8)


def _small(frame: np.ndarray) -> np.ndarray:
    scale = LONG_EDGE / max(frame.shape)
    size = [max(1, round(edge * scale)) for edge in frame.shape[1::-1]]
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA) if scale < 1 else frame


def _kept(flow: Flow, now: np.ndarray, before: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Where the paint of each pixel is taken from, (H, W, 2), and its share, 0 to SHARE, (H, W); None at a cut."""
    motion = flow.between(now, before)
    moved, stayed = _change(now, warped(before, motion.places)), _change(now, before)
    # Less than a pixel of motion may be the flow's own trembling, from noise: it stays, unless the picture says that it
    # moved. Paint that stays is not interpolated either, which would blur it a little at every frame.
    stays = (motion.length < 1) & (stayed < moved + 0.5)
    change = np.where(stays, stayed, moved)
    share = SHARE * np.exp(-np.square(change / CHANGED)) * (stays | motion.seen)
    changed = stayed > CHANGED
    if changed.mean() > CUT_CHANGED and (share[changed] > SHARE / 2).mean() < CUT_FOUND:
        return None
    places = np.where(stays[..., None], grid(*stays.shape), motion.places)
    return places, cv2.blur(share, (3, 3))


def _change(now: np.ndarray, before: np.ndarray) -> np.ndarray:
    """The mean over colours of the absolute difference of neighbourhoods, (H, W), in levels of 255."""
    size = (NEIGHBOURS, NEIGHBOURS)
    return apart(cv2.blur(now.astype(np.float32), size), cv2.blur(before.astype(np.float32), size))


def _draw(paint: np.ndarray, before: np.ndarray, places: np.ndarray, share: np.ndarray) -> None:
    """Draw the paint, (H, W, 3), towards the paint before, in place; places and share may be of a smaller picture."""
    height, width = paint.shape[:2]
    if share.shape != (height, width):
        moves = cv2.resize(places - grid(*share.shape), (width, height))
        moves *= np.float32([width / share.shape[1], height / share.shape[0]])
        places, share = moves + grid(height, width), cv2.resize(share, (width, height))
    old = cv2.remap(before, places, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    old -= paint
    old *= share[..., None]
    paint += old
    np.clip(paint, 0, 255, out=paint)
