"""What is done to a frame before and after the network: its size and margin; strength, and whose colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from fst import images
from fst.stylize.planes import Planes
from fst.values import between, one_of

if TYPE_CHECKING:
    from fst.networks import Network
    from fst.stylize.backend import Backend, Traits

COLORS = ("style", "content")
MARGIN = 16  # pixels mirrored around a frame and cut off again: a network's strokes are paler at the edge it sees
LARGEST = 16384  # long edge at which a network is asked to work
WHOLE = 4_000_000_000  # bytes of memory: a frame that takes more is painted in strips


def check(size: int | None, strength: float, colors: str) -> None:
    """Raise a UserError for a setting out of range."""
    if size is not None:
        between("size", size, 16, LARGEST, ": the pixels of the long edge at which the network works")
    between("strength", strength, 0, 1, ": 0 is the source, 1 the painting")
    one_of("colors", colors, COLORS)


def in_strips(height: int, width: int, backend: Backend, at_once: int = 1) -> bool:
    """Whether frames of that size are painted in strips: whole, `at_once` take much memory, and the network can be."""
    return backend.traits.strips and height * width * backend.bytes_per_pixel * at_once > WHOLE


def working(frame: np.ndarray | Planes, size: int | None, margin: int = 0) -> np.ndarray | Planes:
    """The frame as the network sees it: its long edge at `size` pixels, so that strokes are as large in any photo.

    With a margin, so many mirrored pixels are around it; `finish` cuts them off. Planes keep their size.
    """
    if size is not None:
        frame = _resized(frame, *images.fit_long_edge(*frame.shape[:2], size))
    return _bordered(frame, (margin,) * 4, cv2.BORDER_REFLECT_101) if margin else frame


def _resized(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    smaller = height < frame.shape[0]
    return cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)


def _bordered(frame: np.ndarray | Planes, sides: tuple[int, ...], mode: int) -> np.ndarray | Planes:
    """With so many pixels more at the top, bottom, left and right."""
    if isinstance(frame, Planes):
        return frame.each(lambda plane, of: cv2.copyMakeBorder(plane, *(side // of for side in sides), mode))
    return cv2.copyMakeBorder(frame, *sides, mode)


def pad(frame: np.ndarray | Planes, traits: Traits | Network) -> np.ndarray | Planes:
    """A frame grown at the bottom and right to what a network takes, as `fst.networks.Network` does, in uint8."""
    height, width = frame.shape[:2]
    bottom = max(-height % traits.multiple, traits.smallest - height)
    right = max(-width % traits.multiple, traits.smallest - width)
    if bottom == 0 and right == 0:
        return frame
    mode = cv2.BORDER_REFLECT_101 if bottom < height and right < width else cv2.BORDER_REPLICATE
    return _bordered(frame, (0, bottom, 0, right), mode)


def finish(
    source: np.ndarray | Planes, painted: np.ndarray | Planes, strength: float, colors: str, margin: int = 0
) -> np.ndarray | Planes:
    """The painted frame at the source's size, with the colours and the strength asked for, of the source's kind."""
    height, width = source.shape[:2]
    if isinstance(source, Planes):
        painted = painted.cropped(margin, margin, height, width)
        if colors == "content":
            painted = painted._replace(blue=source.blue, red=source.red)
        if strength < 1:
            pairs = zip(painted[:3], source[:3], strict=True)
            painted = Planes(*(_mixed(new, old, strength) for new, old in pairs), source.matrix)
        return painted
    painted = painted[margin : painted.shape[0] - margin, margin : painted.shape[1] - margin]
    if painted.shape != source.shape:
        painted = _resized(painted, height, width)
    if colors == "content":
        painted = with_luminance(source, painted)
    if strength < 1:
        painted = _mixed(painted, source, strength)
    return np.ascontiguousarray(painted)


def _mixed(painted: np.ndarray, source: np.ndarray, strength: float) -> np.ndarray:
    return cv2.addWeighted(painted, strength, source, 1 - strength, 0)


def with_luminance(source: np.ndarray, painted: np.ndarray) -> np.ndarray:
    """The source's chroma under the painted picture's luminance, uint8 (H, W, 3) (Gatys et al. 2016, section 4.2)."""
    mixed = cv2.cvtColor(source, cv2.COLOR_RGB2YCrCb)
    mixed[..., 0] = cv2.cvtColor(painted, cv2.COLOR_RGB2GRAY)
    return cv2.cvtColor(mixed, cv2.COLOR_YCrCb2RGB)
