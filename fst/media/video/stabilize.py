"""Painted films that flicker less: what is done to each painted frame, by the name of a setting."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from fst.errors import UserError
from fst.media.video.blend import Blend
from fst.media.video.hold import Hold
from fst.stylize.planes import Planes

if TYPE_CHECKING:
    from fst.stylize import Stylizer

WAYS: dict[str, tuple[type, ...]] = {"hold": (Hold,), "flow": (Blend, Hold), "none": ()}


def steadier(way: str) -> Callable[[np.ndarray | Planes, np.ndarray | Planes], np.ndarray | Planes]:
    """What makes one film steadier by one of WAYS: of each source and painted frame, in order, the frame to show."""
    steps = [step() for step in WAYS[way]]

    def shown(source: np.ndarray | Planes, painted: np.ndarray | Planes) -> np.ndarray | Planes:
        for step in steps:
            painted = step(source, painted)
        return painted

    return shown


def check(way: str, *, film: bool) -> None:
    """Refuse a way that is unknown, or does not go with what is painted.

    Args:
        way: one of WAYS.
        film: whether films are painted to a file; photos and live ones else.

    Raises:
        UserError: an unknown way, or flow for something other than a film.
    """
    if way not in WAYS:
        raise UserError(f"stabilize={way} is unknown: {', '.join(WAYS)}")
    if way == "flow" and not film:
        raise UserError("stabilize=flow is for films that are written to a file: leave it out for photos and live")


class Stabilized:
    """A stylizer of films whose paint is steadier than that of frames painted one by one.

    Memory: the frames that the stylizer has in flight, and three more. One film gives one result.

    Attributes:
        name: the stylizer's.

    Args:
        stylizer: a `fst.stylize.Stylizer`; only its `name`, `stream` and `takes_planes` are used.
        way: one of WAYS.
    """

    def __init__(self, stylizer: Stylizer, way: str) -> None:
        self.name = stylizer.name
        self._stylizer = stylizer
        self._way = way

    def takes_planes(self, height: int, width: int) -> bool:
        """As the stylizer's; motion is looked for in RGB."""
        return Blend not in WAYS[self._way] and self._stylizer.takes_planes(height, width)

    def stream(self, frames: Iterable[np.ndarray | Planes], count: int | None = None) -> Iterator[np.ndarray | Planes]:
        """Paint frames of one size in order, as the stylizer's `stream`."""
        sources: deque[np.ndarray | Planes] = deque()

        def kept() -> Iterator[np.ndarray | Planes]:
            for frame in frames:
                sources.append(frame)
                yield frame

        shown = steadier(self._way)
        for painted in self._stylizer.stream(kept(), count):
            yield shown(sources.popleft(), painted)
