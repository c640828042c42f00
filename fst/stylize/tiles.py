"""Large images in bounded memory: the network runs layer by layer, each layer strip by strip.

Instance normalisation needs the mean and variance of a whole layer, so an image cut into tiles that are painted one by
one shows its seams. Here each convolution sees the image in strips of rows that overlap by its kernel; the strips'
statistics are merged into the whole layer's exactly (Chan, Golub and LeVeque 1983) before the next layer reads it.
Layers are kept in 16 bits, except those too large to keep (Johnson's at full resolution), which are computed again from
the layer below when they are read. What comes out is the untiled image, up to that rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fst.errors import UserError
from fst.stylize.backend import Traits
from fst.stylize.framing import pad
from fst.stylize.many import Style

if TYPE_CHECKING:
    from fst.networks import Network
    from fst.stylize.row_layers import Rows

# Above this, tile=auto paints in pieces: painted whole, a frame so large takes OpenVINO some 2 GB.
AUTO_PIXELS = 16_000_000
AUTO_PIXELS_FULL_RESOLUTION = 4_000_000  # of a network that has features as large as the frame
STRIP_PIXELS = 512 * 512  # the piece's size for tile=auto


def checked(tile: int | str | None) -> int | str | None:
    """A checked `tile=`: "auto", a number of pixels from 64 up, or None.

    Raises:
        UserError: anything else.
    """
    if tile is None or tile == "auto" or (isinstance(tile, int) and not isinstance(tile, bool) and tile >= 64):
        return tile
    raise UserError(f"tile={tile} is neither auto, nor null, nor a number of pixels from 64 up")


def in_pieces(shape: tuple[int, ...], tile: int | str | None, traits: Traits) -> bool:
    """Whether a frame of that height and width is painted in pieces: it is large enough, and that network can be."""
    if tile is None or not traits.strips:
        return False
    auto = AUTO_PIXELS_FULL_RESOLUTION if traits.full_resolution else AUTO_PIXELS
    return shape[0] * shape[1] > (auto if tile == "auto" else tile * tile)


class TiledStylizer:
    """Paints uint8 (H, W, 3) RGB frames in pieces; memory grows by some 30 (realtime) to 90 (johnson) bytes a pixel."""

    def __init__(self, style: Style, tile: int | str | None) -> None:
        from fst.stylize import torch_backend as reference

        self.device = reference.device()
        network = style.network()
        self.traits = Traits.of(network)
        self.network = (network if style.many is None else style.many.network()).to(self.device)
        self.piece = STRIP_PIXELS if tile in ("auto", None) else tile * tile

    def stylize(self, frame: np.ndarray, vector: np.ndarray | None) -> np.ndarray:
        """Paint one frame, as a `Backend` does; the same size comes back."""
        import torch

        from fst.stylize.row_layers import Image, through

        height, width = frame.shape[:2]
        with torch.inference_mode():
            network = self.network if vector is None else self.network.folded(torch.from_numpy(vector)[None])
            image = Image(pad(frame, self.traits), network.to(self.device), self.device)
            painted = through(network.layers, image, self.piece)
            return self._to_frame(network, painted)[:height, :width]

    def _to_frame(self, network: Network, rows: Rows) -> np.ndarray:
        from fst import images

        frame = np.empty((rows.height, rows.width, 3), np.uint8)
        for start, stop in rows.strips(self.piece):
            frame[start:stop] = images.to_pixels(network.after(rows.read(start, stop)))
        return frame
