"""What a backend is: something that runs a style's network on frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from fst.networks import Network
    from fst.stylize.planes import Planes


@dataclass(frozen=True)
class Traits:
    """What must be known of a network to prepare frames for it, without torch; see `fst.networks.Network`.

    Attributes:
        multiple, smallest: of a frame's height and width.
        full_resolution: whether it has features as large as the frame.
        strips: whether it can be computed a few rows at a time.
    """

    multiple: int
    smallest: int
    full_resolution: bool
    strips: bool

    @classmethod
    def of(cls, network: Network) -> Traits:
        """The traits of a torch network."""
        from fst.stylize.row_layers import runs_in_strips

        return cls(network.multiple, network.smallest, network.full_resolution, runs_in_strips(network))


class Backend(Protocol):
    """Runs a style's network on uint8 (H, W, 3) RGB frames of any size; what comes back has the same size.

    Attributes:
        takes_planes: whether frames of a stream may be `Planes`; painted ones are, then.
    """

    name: str
    traits: Traits
    takes_planes: bool

    def stylize(self, frame: np.ndarray, vector: np.ndarray | None) -> np.ndarray:
        """One frame, as soon as possible; by a style vector (V,), where the style is one of a file of many."""

    def stream(self, frames: Iterable[tuple[np.ndarray | Planes, np.ndarray | None]]) -> Iterator[np.ndarray | Planes]:
        """Many frames and their style vectors, in order, as many a second as possible."""
