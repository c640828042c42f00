"""Painted films that flicker less: what is done to each painted frame, by the name of a setting."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fst.errors import UserError
from fst.media.video.blend import Blend
from fst.media.video.hold import Hold
from fst.stylize.planes import Planes

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
    if way not in WAYS:
        raise UserError(f"stabilize={way} is unknown: {', '.join(WAYS)}")
    if way == "flow" and not film:
        raise UserError("stabilize=flow is for films that are written to a file: leave it out for photos and live")
