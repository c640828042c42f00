"""The faster layers paint what the network's own layers paint."""

import pytest
import torch
from torch import nn

from fst.networks import Network, build
from fst.networks.blocks import ConvBlock
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


class Own(Network):
    """Doubles a picture, whose half it sees, and gives it three channels; both convolutions are of somebody's own."""

    def __init__(self, doubling: nn.Conv2d, last: nn.Conv2d) -> None:
        super().__init__()
        up, end = ConvBlock(4, 8, 3, upsample=2, norm=None), ConvBlock(8, 3, 9, norm=None, relu=False)
        up[1], end[0] = doubling, last
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3, 2, padding=1), up, end)


@pytest.mark.parametrize(
    ("doubling", "last"),
    [
        ({"padding_mode": "zeros"}, {}),
        ({"padding_mode": "replicate"}, {"padding_mode": "zeros"}),
        ({"groups": 2}, {"bias": False}),
        ({"bias": False}, {"stride": 2}),
        ({"stride": 2}, {"dilation": 2, "padding": 8}),
        ({"dilation": 2, "padding": 2}, {"padding": 0}),
    ],
    ids=str,
)
def test_convolutions_of_ones_own_in_the_blocks_stay_what_they_are(doubling, last):
    torch.manual_seed(0)
    usual = {"padding_mode": "reflect"}
    first = nn.Conv2d(4, 8, 3, **usual | {"padding": 1} | doubling)
    network = Own(first, nn.Conv2d(8, 3, 9, **usual | {"padding": 4} | last)).eval()
    with torch.no_grad():
        image = torch.rand(1, 3, 48, 40)
        found, expected = faster(network).stylize(image), network.stylize(image)
    assert found.shape == expected.shape and (found - expected).abs().max() < 1e-5


def test_what_follows_the_last_convolution_is_kept():
    torch.manual_seed(0)
    network = Own(nn.Conv2d(4, 8, 3, padding=1, padding_mode="reflect"), ConvBlock(8, 3, 9)[0])
    network.layers[-1].append(nn.Tanh())
    with torch.no_grad():
        image = torch.rand(1, 3, 48, 40)
        assert (faster(network).stylize(image) - network.stylize(image)).abs().max() < 1e-5


@pytest.mark.parametrize("resizing", [{"scale_factor": 3}, {"scale_factor": 2, "mode": "bilinear"}], ids=str)
def test_resizing_of_ones_own_stays_what_it_is(resizing):
    torch.manual_seed(0)
    block = ConvBlock(3, 3, 3, upsample=2, norm=None)
    block[0] = nn.Upsample(**resizing)
    network = Network()
    network.layers = nn.Sequential(block, nn.ReLU())
    with torch.no_grad():
        image = torch.rand(1, 3, 24, 20)
        found, expected = faster(network).stylize(image), network.stylize(image)
    assert found.shape == expected.shape and (found - expected).abs().max() < 1e-5


def test_nothing_is_left_to_do_at_the_larger_resolution():
    johnson = list(faster(build("johnson", width=8, depth=1)).modules())
    assert not any(isinstance(module, nn.Upsample) for module in johnson)
    [last] = [module for module in johnson if isinstance(module, nn.Conv2d) and module.out_channels == 12]
    assert (last.kernel_size, last.stride) == ((10, 10), (2, 2))
    realtime = list(faster(build("realtime", widths=[8, 16, 24], depths=[0, 0, 1])).modules())
    assert not any(isinstance(module, nn.Upsample) for module in realtime)
    assert sum(isinstance(module, nn.ConvTranspose2d) for module in realtime) == 2
    assert isinstance(realtime[-1], nn.PixelShuffle)
