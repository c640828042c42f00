"""The term sees what repeats at the network's period, and little else."""

from types import SimpleNamespace

import pytest
import torch

from fst.errors import UserError
from fst.losses.terms.checkerboard import Checkerboard


def checkerboard(picture: torch.Tensor, **settings: int) -> float:
    return Checkerboard(**settings)(SimpleNamespace(painted=picture)).item()


def test_a_wallpaper_counts_with_the_variance_of_its_tile() -> None:
    tile = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    expected = tile.flatten(2).var(2, unbiased=False).mean().item()
    assert checkerboard(tile.repeat(1, 1, 9, 7)) == pytest.approx(expected, rel=1e-4)
    assert checkerboard(tile.repeat(1, 1, 9, 7)[..., 3:, 5:]) == pytest.approx(expected, rel=1e-4), "wherever it begins"
    assert checkerboard(tile.repeat(1, 1, 6, 6)) == pytest.approx(expected, rel=1e-4), "a single window"


def test_stairs_of_the_period_cost_and_the_slope_that_they_stand_for_does_not() -> None:
    slope = (torch.arange(80) / 80).expand(1, 3, 80, 80)
    stairs = (torch.arange(80) // 8 / 10).expand(1, 3, 80, 80)
    expected = torch.arange(8).div(80).var(unbiased=False).item()  # what the stairs differ by: a ramp over each square
    assert checkerboard(slope) == pytest.approx(0, abs=1e-10)
    assert checkerboard(stairs) == pytest.approx(expected, rel=1e-3)


def test_texture_without_a_period_counts_little() -> None:
    noise = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    assert checkerboard(noise) == pytest.approx(noise.var().item() / 25, rel=0.05), "the variance of a mean of 25"
    assert checkerboard(torch.full((1, 3, 64, 64), 0.3)) == pytest.approx(0, abs=1e-10)


def test_pictures_below_a_window_are_left_out() -> None:
    assert checkerboard(torch.rand(1, 3, 46, 100)) == 0
    with pytest.raises(UserError, match=r"loss\.checkerboard_window"):
        Checkerboard(window=1)
