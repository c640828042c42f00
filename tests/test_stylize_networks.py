"""Networks of other kinds than those that come with fst are painted as they are, by every way of painting."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from styles import make_style
from test_stylize import picture
from test_stylize_backends import psnr
from torch import Tensor, nn

from fst import stylefile
from fst.networks import NETWORKS, Network
from fst.networks.blocks import ConvBlock
from fst.stylize import Stylizer, framing
from fst.stylize.strips import runs_in_strips


class Squashed(Network):
    """Without a norm, an output of its own, and a constant that no style file holds."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.register_buffer("gain", torch.tensor([2.0, 1.0, 0.5]).view(3, 1, 1), persistent=False)
        self.shift = 0.1 * torch.ones(1)
        self.layers = nn.Sequential(
            ConvBlock(3, width, 3, norm=None, stride=2), ConvBlock(width, 3, 3, norm=None, relu=False, upsample=2)
        )

    def before(self, image: Tensor) -> Tensor:
        return image * self.gain

    def after(self, features: Tensor) -> Tensor:
        return torch.sigmoid(4 * features + self.shift)


class Depthwise(Network):
    """MobileNet's way: a convolution for each channel, padded with zeros, then one for each position."""

    def __init__(self) -> None:
        super().__init__()
        middle = [nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Conv2d(8, 8, 1), nn.InstanceNorm2d(8), nn.Hardswish()]
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), *middle, nn.Conv2d(8, 3, 3, padding=1))


class Attentive(Network):
    """Squeezes the whole picture into a number a channel: no strip of it can be painted alone."""

    class Excite(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return x * torch.sigmoid(x.mean((2, 3), keepdim=True))

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(ConvBlock(3, 8, 3, stride=2), self.Excite(), ConvBlock(8, 3, 3, upsample=2))


class Whole(Depthwise):
    """One that says itself that it is painted whole."""

    strips = False


class Deep(Network):
    """One that cannot paint the smallest picture that it says it can."""

    multiple = 16

    def __init__(self) -> None:
        super().__init__()
        blocks = [ConvBlock(3, 8, 5, stride=2), *(ConvBlock(8, 8, 5, stride=2) for _ in range(3))]
        self.layers = nn.Sequential(*blocks, nn.Upsample(scale_factor=16), nn.Conv2d(8, 3, 1))


OWN = {"squashed": Squashed, "depthwise": Depthwise, "attentive": Attentive, "whole": Whole, "deep": Deep}


@pytest.fixture(autouse=True)
def registered(tmp_path, monkeypatch) -> Iterator[None]:
    monkeypatch.setenv("FST_HOME", str(tmp_path / "home"))
    NETWORKS.update(OWN)
    yield
    for name in OWN:
        del NETWORKS[name]


@pytest.mark.parametrize("name", OWN)
def test_a_new_network_is_painted_the_same_way_everywhere(tmp_path, monkeypatch, name):
    style = make_style(tmp_path / "style.safetensors", name)
    frame = picture(150, 201)
    frame[:50] //= 4
    margined = np.pad(frame, ((16, 16), (16, 16), (0, 0)), mode="reflect")
    network, _ = stylefile.load(style)
    with torch.inference_mode():
        expected = network(torch.from_numpy(margined).permute(2, 0, 1)[None] / 255)
    expected = (expected[0, :, 16:-16, 16:-16].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    assert expected.std() > 5
    stylizers = {way: Stylizer.load(style, backend=way, precision="f32") for way in ("torch", "openvino")}
    for way, stylizer in stylizers.items():
        assert psnr(stylizer(frame), expected) >= 55, way
    monkeypatch.setattr(framing, "WHOLE", 0)
    assert psnr(stylizers["torch"](frame), expected) >= 55, "in strips"


def test_which_networks_run_in_strips():
    assert {name: runs_in_strips(network()) for name, network in OWN.items()} == {
        "squashed": True, "depthwise": True, "attentive": False, "whole": False, "deep": False
    }  # fmt: skip
