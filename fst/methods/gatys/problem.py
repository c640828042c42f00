"""What is optimised, at whatever size: the photo, the paintings, their regions; and the sizes from coarse to fine."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fst import images
from fst.errors import UserError
from fst.methods.gatys import colors
from fst.methods.gatys.regions import read_regions
from fst.stylize.framing import with_luminance

if TYPE_CHECKING:
    from fst.config.schema import TrainConfig
    from fst.methods.gatys.baseline import Gatys

LARGEST = 1024  # long edge in pixels that a photo is worked at unless method.size says more
TEXTURE = 512  # the same for a texture, which has no photo


class Scale(NamedTuple):
    """A size of the image, (height, width), and the iteration at which it is left for the next larger one."""

    size: tuple[int, int]
    until: int


def plan(size: tuple[int, int], coarsest: int | None, iterations: int, least: int) -> list[Scale]:
    """Sizes growing by √2 up to `size`, (height, width), and their iterations: two shares to the first, then one each.

    None has a long edge below `coarsest` (None: `size` alone) or a short side below `least`, which the loss network
    needs; UserError if `size` itself has.
    """
    if min(size) < least:
        raise UserError(
            f"the image is optimised at {size[1]}×{size[0]} pixels, but these layers need {least} each way: "
            "raise method.size"
        )
    edge = float(max(size))
    sizes = [size]
    while coarsest is not None:
        edge /= 2**0.5
        smaller = images.fit_long_edge(*size, round(edge))
        if round(edge) < coarsest or min(smaller) < least:
            break
        sizes.insert(0, smaller)
    shares = len(sizes) + 1 if len(sizes) > 1 else 1
    ends = [iterations * (index + 2) // shares for index in range(len(sizes) - 1)] + [iterations]
    # A run of few iterations has none for some of the coarse sizes.
    return [Scale(smaller, end) for smaller, end, before in zip(sizes, ends, [0, *ends], strict=False) if end > before]


class Problem:
    """The inputs of an optimisation, uint8 (H, W, 3) RGB, read from a config's files.

    `photo` is None for a texture; `paintings` are coloured as method.colors asks, as large as the loss takes them at
    the final `size`, (height, width); `channels` of the image are 1 where only luminance is optimised.

    Args:
        method: its settings.
        painting: the first one.
        config: the run's.

    Raises:
        UserError: a file that cannot be read, or masks that do not fit.
    """

    def __init__(self, method: Gatys, painting: np.ndarray, config: TrainConfig) -> None:
        self.photo = photo = images.read(config.content) if config.content else None
        others = [images.read(name) for name in method.styles]
        others = [images.resize(other, images.fit_long_edge(*other.shape[:2], config.style.size)) for other in others]
        self.paintings = [_coloured(each, photo, method.colors) for each in (painting, *others)]
        shape = (painting if photo is None else photo).shape[:2]
        largest = TEXTURE if photo is None else min(LARGEST, max(shape))
        self.size = images.fit_long_edge(*shape, method.size or largest)
        self.grey = method.colors == "content"
        self.channels = 1 if self.grey else 3
        self.regions: list[np.ndarray] = []
        if method.content_mask is not None:
            self.regions = read_regions(method.content_mask, method.style_masks, photo, len(self.paintings))

    def photo_at(self, size: tuple[int, int]) -> Tensor | None:
        """The photo as the content loss takes it, (1, 3, H, W) in [0, 1]."""
        if self.photo is None:
            return None
        pixels = images.resize(self.photo, size)
        return images.to_tensor(colors.luminance(pixels) if self.grey else pixels)

    def paintings_at(self, size: tuple[int, int], least: int) -> list[Tensor]:
        """The paintings, reduced as much as the image is (but never below `least` pixels), (1, 3, H, W) in [0, 1]."""
        reduction = max(size) / max(self.size)
        found = []
        for pixels in self.paintings:
            factor = min(1.0, max(reduction, least / min(pixels.shape[:2])))
            height, width = (max(1, round(edge * factor)) for edge in pixels.shape[:2])
            found.append(images.to_tensor(images.resize(pixels, (height, width))))
        return found

    def regions_at(self, size: tuple[int, int], paintings: list[Tensor]) -> tuple[Tensor | None, list[Tensor] | None]:
        """Masks (R, 1, H, W) in [0, 1], where there are regions: the photo's at `size`, and each painting's at its own.

        They are on the paintings' device.
        """
        if not self.regions:
            return None, None
        count, sizes = int(self.regions[0].max()), [size, *(painting.shape[-2:] for painting in paintings)]
        masks = [_masks(own, count, at) for own, at in zip(self.regions, sizes, strict=True)]
        photo, *others = [mask.to(paintings[0].device) for mask in masks]
        return photo, others

    def picture(self, image: Tensor, size: tuple[int, int]) -> np.ndarray:
        """The image as a picture at `size`, uint8 (H, W, 3), with the photo's colours where those are asked for."""
        pixels = images.resize(images.to_pixels(image.expand(-1, 3, -1, -1)), size)
        return with_luminance(images.resize(self.photo, size), pixels) if self.grey else pixels


def _coloured(pixels: np.ndarray, photo: np.ndarray | None, wanted: str) -> np.ndarray:
    if wanted == "style":
        return pixels
    reduced = images.resize(photo, images.fit_long_edge(*photo.shape[:2], min(512, max(photo.shape))))
    return (colors.match_luminance if wanted == "content" else colors.match_colors)(pixels, reduced)


def _masks(labels: np.ndarray, count: int, size: tuple[int, int]) -> Tensor:
    one_each = torch.stack([torch.from_numpy(labels == number) for number in range(1, count + 1)])
    masks = one_each[:, None].float()
    finer = size[0] > labels.shape[0]
    return F.interpolate(masks, size, mode="nearest" if finer else "area")
