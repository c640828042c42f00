"""Cutting a network down takes away what changes nothing first."""

from pathlib import Path

import pytest
import torch
from photos import make_photos

from experiments.architectures.cut import BODY, PHOTOS, SIDE, cut, some_of
from fst.networks.realtime import Realtime

UNUSED, IDLE = [1, 7], 2  # channels at the coarsest resolution, and a block there


@torch.inference_mode()
def test_what_a_network_does_not_use_goes_without_a_trace() -> None:
    torch.manual_seed(0)
    network = Realtime(widths=[4, 6, 10], depths=[0, 1, 3]).eval()
    weights = network.state_dict()
    for name, tensor in weights.items():
        if tensor.ndim == 1:
            tensor.normal_(0.5, 0.3)  # scales and shifts as a trained network's, none of them 0 or 1
        unused = name.startswith((f"{BODY}0.1.", *(f"{BODY}{block}.body." for block in (1, 2, 3)))) and ".1." in name
        if unused and tensor.ndim == 1:
            tensor[UNUSED] = 0
        if name.startswith(f"{BODY}{IDLE}.body.1.1."):
            tensor.zero_()
    photos = torch.rand(2, 3, 48, 40)
    before = network(photos)
    smaller = Realtime(widths=[4, 6, 8], depths=[0, 1, 2]).eval()
    smaller.load_state_dict(cut(network, 3, photos, width=8, blocks=2))
    assert torch.allclose(smaller(photos), before, atol=1e-4)
    assert before.std() > 0.05


@pytest.mark.parametrize(("there", "taken"), [(3, 3), (2 * PHOTOS, PHOTOS)])
def test_a_few_photos_are_enough(tmp_path: Path, there: int, taken: int) -> None:
    make_photos(tmp_path, there)
    assert some_of(tmp_path).shape == (taken, 3, SIDE, SIDE)
