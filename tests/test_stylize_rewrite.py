"""The faster layers paint what the network's own layers paint."""

import pytest
import torch
from torch import nn

from fst.networks import build
from fst.stylize.rewrite import faster

NETWORKS = {
    "johnson": {"width": 8, "depth": 1},
    "realtime": {"widths": [4, 8, 16], "depths": [0, 0, 1]},
    "realtime, fold 4": {"fold": 4, "widths": [8], "depths": [1]},
    "realtime, as it was": {"widths": [8, 16], "depths": [0, 1], "skips": False, "end": "shuffle"},
    "johnson_paper": {"width": 4, "depth": 1, "norm": "instance"},
    "johnson, batch norm": {"width": 8, "depth": 1, "norm": "batch"},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_are_the_networks_own(name):
    torch.manual_seed(0)
    network = build(name.partition(",")[0], **NETWORKS[name]).eval()
    with torch.no_grad():
        for parameter in network.parameters():  # biases and norms that are no identities
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.3)
        before = [parameter.clone() for parameter in network.parameters()]
        image = torch.rand(2, 3, 64, 80)
        assert (faster(network).stylize(image) - network.stylize(image)).abs().max() < 1e-5
    assert all(torch.equal(*pair) for pair in zip(before, network.parameters(), strict=True))  # a copy was changed


def test_nothing_is_left_to_do_at_the_larger_resolution():
    johnson = list(faster(build("johnson", width=8, depth=1)).modules())
    assert not any(isinstance(module, nn.Upsample) for module in johnson)
    [last] = [module for module in johnson if isinstance(module, nn.Conv2d) and module.out_channels == 12]
    assert (last.kernel_size, last.stride) == ((10, 10), (2, 2))
    realtime = list(faster(build("realtime", widths=[8, 16, 24], depths=[0, 0, 1])).modules())
    assert not any(isinstance(module, nn.Upsample) for module in realtime)
    assert sum(isinstance(module, nn.ConvTranspose2d) for module in realtime) == 2
    assert isinstance(realtime[-1], nn.PixelShuffle)
