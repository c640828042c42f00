"""The term sees bands of colour in even skies, and neither outlines nor what a photo has itself."""

import math

import numpy as np
import pytest
import torch

from fst.errors import UserError
from fst.losses.style_target import StyleTarget
from fst.losses.term import Step
from fst.losses.terms.evenness import DETAIL, SLOPE, Evenness, unevenness

RANDOM = torch.Generator().manual_seed(0)


def by_hand(photo: np.ndarray, picture: np.ndarray, size: int) -> float:
    """The definition, square by square, of (3, H, W)."""
    step = size // 2
    total = 0.0
    for down, across in ((step, 0), (0, step)):
        found = []
        for y in range(0, photo.shape[1] - size - down + 1, step):
            for x in range(0, photo.shape[2] - size - across + 1, step):
                here, there = np.s_[:, y : y + size, x : x + size], np.s_[:, y + down :, x + across :]
                pairs = [(image[here], image[there][:, :size, :size]) for image in (photo, picture)]
                apart, drawn = (((one.mean((1, 2)) - two.mean((1, 2))) ** 2).sum() for one, two in pairs)
                within = max(square.var((1, 2)).sum() for square in pairs[0])
                found.append(math.exp(-within / DETAIL**2 - apart / SLOPE**2) * drawn)
        total += np.mean(found)
    return total


@pytest.mark.parametrize(("height", "width", "size"), [(40, 52, 8), (33, 47, 8), (24, 24, 6), (12, 8, 8), (8, 12, 8)])
def test_it_is_what_it_says(height: int, width: int, size: int) -> None:
    picture = torch.rand(1, 3, height, width, generator=RANDOM)
    photo = 0.5 + 0.02 * torch.randn(1, 3, height, width, generator=RANDOM)
    photo[..., : width // 2] += 0.03
    expected = by_hand(photo[0].double().numpy(), picture[0].double().numpy(), size) if min(height, width) > 8 else 0
    assert unevenness(photo, picture, size).item() == pytest.approx(expected, rel=1e-3)


def test_a_band_beside_a_roof_costs_and_the_roof_does_not() -> None:
    photo = torch.full((1, 3, 96, 96), 0.8)
    photo[..., 48:, :] = 0.2
    band = photo.clone()
    band[:, 1, 8:32] = 0.3
    assert unevenness(photo, photo).item() == pytest.approx(0, abs=1e-9)
    assert unevenness(photo, 1 - photo).item() == pytest.approx(0, abs=1e-9), "other colours, as even"
    # In each column of squares both edges of the band are crossed in two steps, of half its contrast.
    assert unevenness(photo, band).item() == pytest.approx(4 * 0.25**2 / 22, rel=3e-3)


def test_in_leaves_anything_goes() -> None:
    leaves = torch.rand(1, 3, 64, 64, generator=RANDOM)
    assert unevenness(leaves, torch.rand(1, 3, 64, 64, generator=RANDOM)).item() == pytest.approx(0, abs=1e-9)


def test_the_term() -> None:
    image = torch.rand(2, 3, 32, 32, generator=RANDOM)
    even = torch.full_like(image, 0.5)
    step = Step(image, {}, StyleTarget({}), None, {}, photos=even)
    assert Evenness(4)(step).item() == pytest.approx(unevenness(even, image, 4).item())
    with pytest.raises(UserError, match=r"loss\.evenness_size"):
        Evenness(1)
