"""Painting in strips gives the picture that painting whole gives, in less memory."""

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

from fst.networks.blocks import ConvBlock, Residual, ResidualBlock
from fst.stylize import Stylizer, framing, strips


@pytest.fixture
def in_strips(monkeypatch):
    """Within, every frame is large, and strips are narrow."""

    def begin() -> None:
        monkeypatch.setattr(framing, "WHOLE", 0)
        monkeypatch.setattr(strips, "STRIP", 64 * 64)

    return begin


@pytest.mark.parametrize("network", ["johnson", "realtime"])
@pytest.mark.parametrize("size", [(301, 206), (130, 515), (1200, 24)])
def test_no_difference_is_seen_between_strips_and_whole(tmp_path, in_strips, network, size):
    stylizer = Stylizer.load(make_style(tmp_path / "style.safetensors", network), backend="torch")
    frame = picture(*size)
    frame[: size[0] // 3] //= 4  # a dark third: statistics of a strip alone would be quite others
    whole = stylizer(frame)
    in_strips()
    painted = stylizer(frame)
    assert psnr(whole, painted) >= 55
    assert 0 < np.abs(whole.astype(int) - painted).max() <= 2
    assert np.array_equal(next(stylizer.stream([frame])), painted)


class Array(strips.Rows):
    def __init__(self, values: torch.Tensor):
        self.values = values
        self.height, self.width = values.shape[2:]

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
    nn.Sequential(nn.Conv2d(4, 4, 3), nn.InstanceNorm2d(4)),  # without a border
    nn.PixelShuffle(2),
    nn.PixelUnshuffle(4),
    nn.Sequential(ConvBlock(4, 6, 3, stride=2), ConvBlock(6, 8, 3, stride=2), ConvBlock(8, 4, 3, upsample=2)),
]


@pytest.mark.parametrize("kept", [0, 10**6])
@pytest.mark.parametrize("module", MODULES, ids=[type(module).__name__ + str(i) for i, module in enumerate(MODULES)])
def test_each_layer_in_strips_is_the_layer(monkeypatch, module, kept):
    monkeypatch.setattr(strips, "KEPT_PER_PIXEL", kept)  # nothing kept, or everything
    monkeypatch.setattr(strips, "STRIP", 8 * 32)
    values = torch.randn(1, 4, 44, 32) * 3 + 50  # far from zero: where careless variances lose their digits
    with torch.inference_mode():
        rows = strips.through(module.eval(), Array(values))
        expected = module(values)
        assert (rows.height, rows.width) == expected.shape[2:]
        monkeypatch.setattr(strips, "STRIP", 3 * rows.width)
        parts = [rows.read(start, stop) for start, stop in rows.strips()]
    assert len(parts) > 1
    assert torch.allclose(torch.cat(parts, 2), expected, atol=0.01)


def test_a_layer_without_any_contrast_in_strips_is_the_layer(monkeypatch):
    monkeypatch.setattr(strips, "STRIP", 8 * 32)
    module, values = nn.InstanceNorm2d(4, affine=True), torch.full((1, 4, 44, 32), 50.0)
    with torch.inference_mode():
        assert torch.allclose(strips.through(module, Array(values)).read(0, 44), module(values), atol=0.01)


def test_a_network_that_cannot_be_painted_in_strips_is_painted_whole(tmp_path, in_strips):
    stylizer = Stylizer.load(make_style(tmp_path / "style.safetensors", "johnson_paper"), backend="torch")
    whole = stylizer(picture(100, 100))
    in_strips()
    assert np.array_equal(stylizer(picture(100, 100)), whole)


@pytest.mark.parametrize(
    "module",
    [
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.Conv2d(4, 4, 3, padding=2, dilation=2),
        nn.Conv2d(4, 4, (3, 5), padding=(1, 2)),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"),
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.Upsample(scale_factor=1.5),
        nn.Upsample(size=(88, 64)),
        nn.InstanceNorm2d(4, track_running_stats=True),
        nn.BatchNorm2d(4, track_running_stats=False),
        nn.AdaptiveAvgPool2d(8),
    ],
    ids=repr,
)
def test_what_sees_more_than_a_few_rows_is_not_computed_so(module):
    with pytest.raises(strips.Whole):
        strips.through(nn.Sequential(nn.ReLU(), module), Array(torch.zeros(1, 4, 44, 32)))


@pytest.mark.parametrize(
    "network, backend, whole, strips",
    [
        ("johnson", "torch", (1800, 2000), (2000, 2000)),
        ("realtime", "torch", (4000, 4500), (5000, 4000)),
        ("johnson", "openvino", (3024, 4032), (4000, 4000)),  # a phone's photo whole
        ("realtime", "openvino", (7000, 8000), (8000, 8000)),
    ],
)
def test_what_would_take_more_than_4_gb_is_painted_in_strips(tmp_path, network, backend, whole, strips):
    if backend == "openvino":
        pytest.importorskip("openvino")
    style = make_style(tmp_path / "style.safetensors", network)
    there = Stylizer.load(style, backend=backend, precision="f32")._backend
    assert not framing.in_strips(*whole, there) and framing.in_strips(*strips, there)
    assert framing.in_strips(*whole, there, at_once=2), "frames of a film"
    there.traits = replace(there.traits, strips=False)
    assert not framing.in_strips(*strips, there)


def test_a_films_frames_that_fit_into_memory_one_by_one_alone_are_painted_so(tmp_path, monkeypatch):
    stylizer, frame = Stylizer.load(make_style(tmp_path / "style.safetensors"), backend="torch"), picture(40, 50)
    stylizer._backend.streamed, one = 3, (40 + 32) * (50 + 32) * stylizer._backend.bytes_per_pixel
    whole = stylizer(frame)
    monkeypatch.setattr(stylizer._backend, "stream", lambda frames: pytest.fail("several at once"))
    monkeypatch.setattr(framing, "WHOLE", 2 * one)
    assert all(np.array_equal(painted, whole) for painted in stylizer.stream([frame] * 2))
    monkeypatch.setattr(framing, "WHOLE", 3 * one)
    with pytest.raises(pytest.fail.Exception, match="several at once"):
        next(stylizer.stream([frame]))


MEMORY = """
import re, sys
import numpy as np, torch
from fst.stylize import Stylizer, framing, strips
def peak():  # in kB; getrusage's would begin with the parent's
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
photo = np.random.default_rng(0).integers(0, 256, (1400, 1000, 3), dtype=np.uint8)
stylizer = Stylizer.load(sys.argv[1], backend="torch")
strips.STRIP = 128 * 128
for framing.WHOLE in (0, 10**12):
    stylizer(np.zeros((64, 64, 3), np.uint8))
    before = peak()
    stylizer(photo)
    print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_strips_take_a_fraction_of_the_memory(tmp_path):
    style = make_style(tmp_path / "style.safetensors", "realtime")
    arguments = [sys.executable, "-c", MEMORY, style]
    pieces, whole = map(int, subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.split())
    assert pieces < whole / 2
