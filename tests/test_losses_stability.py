"""The stability term on networks whose answer to a change is known."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fst.errors import UserError
from fst.losses.style_target import StyleTarget
from fst.losses.term import Step
from fst.losses.terms.stability import Stability


def photos(count: int = 2, height: int = 64, width: int = 80) -> Tensor:
    coarse = torch.rand(count, 3, height // 8, width // 8, generator=torch.Generator().manual_seed(0))
    return F.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)


def value(term: Stability, paint, image: Tensor) -> Tensor:
    painted = paint(image)
    return term(Step(painted, {}, StyleTarget({}), None, {}, photos=image, paint=paint))


def test_a_network_that_changes_nothing_is_as_unstable_as_the_noise() -> None:
    """mean of n² = (u₁² + u₂²/4)·σ² with u uniform: 1/3 and 1/12 of σ² on average."""
    image, sigma = photos(), 6 / 255
    torch.manual_seed(0)
    found = torch.stack([value(Stability(noise=6.0), lambda x: x, image) for _ in range(200)]).mean().item()
    assert found == pytest.approx(sigma**2 * (1 / 3 + 1 / 12), rel=0.15)
    assert value(Stability(noise=0.0), lambda x: x, image).item() < 1e-12, "a shift and another exposure are followed"


def test_a_picture_that_does_not_move_with_the_photo_costs() -> None:
    """Texture nailed to the frame, as of a grid, against the same texture carried by the photo."""
    image = photos()
    texture = 0.2 * torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    nailed = value(Stability(noise=0.0), lambda x: texture[..., : x.shape[-2], : x.shape[-1]].expand(x.shape), image)
    carried = value(Stability(noise=0.0), lambda x: (x * 3) / 3, image)
    assert nailed > 1e-4 and carried < 1e-10


def test_the_gradient_goes_through_the_picture_alone() -> None:
    gain = torch.ones((), requires_grad=True)
    calls = []

    def paint(x: Tensor) -> Tensor:
        calls.append(torch.is_grad_enabled())
        return x * gain

    value(Stability(), paint, photos()).backward()
    assert gain.grad is not None and calls == [True, False]


def test_pictures_too_small_to_move_cost_nothing() -> None:
    assert value(Stability(shift=12), lambda x: x, torch.rand(1, 3, 40, 200)).item() == 0


def test_values_that_make_no_sense_are_one_line() -> None:
    with pytest.raises(UserError, match=r"loss\.stability_noise is -1"):
        Stability(noise=-1.0)
