"""Painting in pieces gives the picture that painting whole gives, in less memory."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from styles import make_style
from test_stylize import picture
from test_stylize_backends import psnr
from torch import nn

from fst.networks import build
from fst.networks.blocks import ConvBlock, Residual, ResidualBlock
from fst.stylize import Stylizer, row_layers, tiles
from fst.stylize.backend import Traits


@pytest.mark.parametrize("network", ["johnson", "realtime"])
@pytest.mark.parametrize("size", [(301, 206), (130, 515), (1200, 24)])
def test_no_difference_is_seen_between_pieces_and_whole(tmp_path, network, size):
    style = make_style(tmp_path / "style.safetensors", network)
    frame = picture(*size)
    frame[: size[0] // 3] //= 4  # a dark third: statistics of a tile alone would be quite others
    whole = Stylizer.load(style, backend="torch", tile=None)(frame)
    pieces = Stylizer.load(style, backend="torch", tile=64)(frame)
    assert psnr(whole, pieces) >= 55
    assert np.abs(whole.astype(int) - pieces).max() <= 2


class Array(row_layers.Rows):
    def __init__(self, values: torch.Tensor):
        self.values, self.device = values, values.device
        _, self.channels, self.height, self.width = values.shape

    def read(self, start, stop):
        return self.values[:, :, start:stop].clone()


MODULES = [
    ConvBlock(4, 6, 3),
    ConvBlock(4, 6, 9, norm=None, relu=False),
    ConvBlock(4, 6, 3, stride=2),
    ConvBlock(4, 6, 3, upsample=2),
    ConvBlock(4, 6, 3, norm="batch"),
    ResidualBlock(4),
    Residual(ConvBlock(4, 6, 3, stride=2), ResidualBlock(6), ConvBlock(6, 4, 3, upsample=2)),  # a skip
    nn.Conv2d(4, 8, 5, padding=2, groups=2),  # zeros around, as depthwise convolutions mostly have
    nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, padding_mode="replicate", groups=4), nn.SiLU()),
    nn.PixelShuffle(2),
    nn.PixelUnshuffle(4),
    nn.Sequential(ConvBlock(4, 6, 3, stride=2), ConvBlock(6, 8, 3, stride=2), ConvBlock(8, 4, 3, upsample=2)),
]


@pytest.mark.parametrize("kept", [0, 10**6])
@pytest.mark.parametrize("module", MODULES, ids=[type(module).__name__ + str(i) for i, module in enumerate(MODULES)])
def test_each_layer_in_strips_is_the_layer(monkeypatch, module, kept):
    monkeypatch.setattr(row_layers, "KEPT_PER_PIXEL", kept)  # nothing kept, or everything
    values = torch.randn(1, 4, 44, 32) * 3 + 50  # far from zero: where careless variances lose their digits
    with torch.inference_mode():
        rows = row_layers.through(module.eval(), Array(values), piece=8 * 32)
        expected = module(values)
        assert (1, rows.channels, rows.height, rows.width) == expected.shape
        strips = [rows.read(start, stop) for start, stop in rows.strips(3 * rows.width)]
    assert len(strips) > 1
    assert torch.allclose(torch.cat(strips, 2), expected, atol=0.01)


def test_a_network_that_cannot_run_in_pieces_paints_whole_and_says_so(tmp_path, capsys):
    style = make_style(tmp_path / "style.safetensors", "johnson_paper")
    whole = Stylizer.load(style, backend="torch", tile=None)(picture(100, 100))
    assert np.array_equal(Stylizer.load(style, backend="torch", tile=64)(picture(100, 100)), whole)
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "johnson_paper" in said and "tile=64" in said
    Stylizer.load(style, backend="torch")
    assert capsys.readouterr().err == ""


def test_auto_takes_large_frames_in_pieces_and_live_never():
    small, large = (1000, 1000), (2400, 2400)
    johnson, realtime = (Traits.of(build(name)) for name in ("johnson", "realtime"))
    assert not tiles.in_pieces(small, "auto", johnson) and tiles.in_pieces(large, "auto", johnson)
    assert not tiles.in_pieces(large, "auto", realtime) and not tiles.in_pieces(large, None, johnson)
    assert tiles.in_pieces(small, 512, johnson) and not tiles.in_pieces(small, 1000, johnson)
    assert not tiles.in_pieces(large, "auto", replace(johnson, strips=False))


MEMORY = """
import re, sys
import numpy as np, torch
from fst.stylize import Stylizer
def peak():  # in kB; getrusage's would begin with the parent's
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
photo = np.random.default_rng(0).integers(0, 256, (1400, 1000, 3), dtype=np.uint8)
stylizers = [Stylizer.load(sys.argv[1], backend="torch", tile=tile) for tile in (128, None)]
stylizers[0](np.zeros((64, 64, 3), np.uint8))
before = peak()
for stylizer in stylizers:
    stylizer(photo)
    print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_pieces_take_a_fraction_of_the_memory(tmp_path):
    style = make_style(tmp_path / "style.safetensors", "realtime")
    arguments = [sys.executable, "-c", MEMORY, style]
    pieces, whole = map(int, subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.split())
    assert pieces < whole / 2
