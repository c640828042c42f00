"""Regions: which part of the photo takes its style from which part of which painting (Gatys et al. 2017, "Controlling
Perceptual Factors in Neural Style Transfer", section 4).

A region is a colour in the photo's mask, and the same colour in a painting's. Colours are told apart by each of red,
green and blue being dark, middling or bright, so that JPEG and soft edges do no harm.
"""

from collections.abc import Sequence

import numpy as np

from fst import images
from fst.errors import UserError

WHITE = np.full((1, 1, 3), 2, np.uint8)
LEAST_SHARE = 0.002  # of the mask: smaller regions are the edges of others


def read_regions(mask: str, painting_masks: Sequence[str], photo: np.ndarray, paintings: int) -> list[np.ndarray]:
    """The photo's regions and each painting's, uint8 (H, W): 0 for none, else the region's number, from 1 on.

    They are read from the photo's mask and one a painting; without those, white is styled as the paintings are, the
    rest is left.

    Raises:
        UserError: masks that fit neither the photo, the number of paintings nor each other.
    """
    if painting_masks and len(painting_masks) != paintings:
        raise UserError(
            f"method.style_masks names {len(painting_masks)} files for {paintings} paintings; give one each"
        )
    colours = _colours(mask)
    height, width = colours.shape[:2]
    if abs(np.log(width / height * photo.shape[0] / photo.shape[1])) > 0.03:
        raise UserError(
            f"{mask} is {width}×{height}, the photo {photo.shape[1]}×{photo.shape[0]}: a mask has its photo's aspect"
        )
    others = [_colours(name) for name in painting_masks] or [WHITE] * paintings
    offered = {colour for other in others for colour in _present(other)}
    shared = [colour for colour in _present(colours) if colour in offered]
    if not shared:
        where = (
            "the paintings' masks" if painting_masks else "white, which is what is styled without method.style_masks"
        )
        raise UserError(f"no colour of {mask} is in {where}")
    return [_labels(each, shared) for each in (colours, *others)]


def _colours(name: str) -> np.ndarray:
    """A mask's pixels as 0, 1 or 2 in each channel."""
    pixels = images.read(name)
    return (pixels >= 64).astype(np.uint8) + (pixels >= 192)


def _present(colours: np.ndarray) -> list[tuple[int, ...]]:
    found, counts = np.unique(colours.reshape(-1, 3), axis=0, return_counts=True)
    least = LEAST_SHARE * colours.shape[0] * colours.shape[1]
    return [tuple(colour.tolist()) for colour, count in zip(found, counts, strict=True) if count >= least]


def _labels(colours: np.ndarray, shared: list[tuple[int, ...]]) -> np.ndarray:
    labels = np.zeros(colours.shape[:2], np.uint8)
    for number, colour in enumerate(shared, start=1):
        labels[(colours == np.array(colour, np.uint8)).all(2)] = number
    return labels
