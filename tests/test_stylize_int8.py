"""int8: how near it comes to torch in fp32, by ranges that the style file carries; when it is chosen."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import openvino as ov
import pytest
import torch
from photos import real_photos
from styles import make_style
from test_stylize import picture
from test_stylize_backends import psnr
from torch import nn

from fst import images, stylefile
from fst.errors import UserError
from fst.networks import build
from fst.stylize import Stylizer, openvino_backend, ranges
from fst.stylize.ranges import EightBits, in_8_bits

PICTURES = [images.to_tensor(picture(96, 128, seed)) for seed in range(8)]


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("FST_HOME", str(tmp_path_factory.mktemp("home")))


def with_ranges(path, network="realtime", **changed):
    """A random style's file with its ranges, measured on made pictures."""
    built, info = stylefile.load(make_style(path, network))
    measured = ranges.measure(built, PICTURES) | changed
    stylefile.describe(path, dataclasses.replace(info, int8=measured))
    return path


@pytest.mark.parametrize("lowest", [0.0, -3.0])
@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
def test_a_convolution_in_8_bits_is_whole_numbers_times_two_steps(kind, lowest):
    torch.manual_seed(0)
    convolution = kind(3, 5, 3)
    x = torch.rand(1, 3, 9, 9) * (4 - lowest) + lowest
    step = 4 / 255 if lowest == 0 else 4 / 127
    whole = (x / step).round()
    axes, shape = ((1, 2, 3), (5, 1, 1, 1)) if kind is nn.Conv2d else ((0, 2, 3), (1, 5, 1, 1))
    steps = convolution.weight.detach().abs().amax(axes).view(shape) / 127
    with torch.no_grad():
        painted = EightBits(convolution, lowest, 4.0)(x)
        function = nn.functional.conv2d if kind is nn.Conv2d else nn.functional.conv_transpose2d
        sums = function(whole.double(), (convolution.weight / steps).round().double())
    expected = sums * step * steps.view(1, 5, 1, 1) + convolution.bias.detach().view(1, 5, 1, 1)
    assert torch.allclose(painted.double(), expected, atol=1e-4)


@pytest.mark.parametrize("network", ["johnson", "realtime"])
def test_ranges_are_the_photos_extremes(network):
    torch.manual_seed(0)
    built = build(network).eval()
    measured = ranges.measure(built, [torch.cat(PICTURES[:2]), PICTURES[2]])
    low, high = next(iter(measured["inputs"].values()))
    first = [built.before(photo) for photo in PICTURES[:3]]
    lows, highs = [x.min().item() for x in first], [x.max().item() for x in first]
    assert low == pytest.approx(max(min(lows), 1.2 * np.mean(lows)), abs=1e-5)
    assert high == pytest.approx(min(max(highs), 1.2 * np.mean(highs)), abs=1e-5)
    convolutions = {name: module for name, module in built.named_modules() if isinstance(module, nn.Conv2d)}
    assert set(measured["inputs"]) == {name for name, module in convolutions.items() if module.stride == (1, 1)}
    with torch.no_grad():
        rounded = in_8_bits(built, measured["inputs"])
        error = np.mean([((rounded(x).clamp(0, 1) - built(x).clamp(0, 1)) ** 2).mean() for x in PICTURES[:3]])
    assert measured["psnr"] == pytest.approx(-10 * np.log10(error), abs=0.02)
    assert len(json.dumps(measured)) < 4000


def test_convolutions_alone_are_in_8_bits(tmp_path):
    stylizer = Stylizer.load(with_ranges(tmp_path / "style.safetensors"), precision="int8")
    assert stylizer._backend.precision == "int8"
    compiled = stylizer._backend._compile((64, 96, 3), "LATENCY")
    inputs = {}
    for op in compiled.get_runtime_model().get_ordered_ops():
        kind = op.get_rt_info()["layerType"].astype(str)
        if kind in ("Convolution", "Deconvolution", "MVN"):
            inputs.setdefault(kind, set()).add(op.get_input_element_type(0))
    full = {getattr(ov.Type, stylizer._backend.float_precision)}
    assert inputs["Deconvolution"] <= {ov.Type.u8, ov.Type.i8} and inputs["MVN"] == full
    assert full < inputs["Convolution"] <= {ov.Type.u8, ov.Type.i8} | full  # those on the way down stay as they are


@pytest.mark.parametrize("network", ["johnson", "realtime"])
def test_openvino_paints_what_was_measured_in_torch(tmp_path, network):
    style = with_ranges(tmp_path / "style.safetensors", network)
    eight, full = (Stylizer.load(style, backend="openvino", precision=name, live=True) for name in ("int8", "f32"))
    frames = [images.to_pixels(x) for x in PICTURES]
    levels = [psnr(eight(frame), full(frame)) for frame in frames]
    rounding = 2 / 12 / 255**2  # both pictures are rounded to 8 bits, the measured ones were not
    error = np.mean([10 ** (-level / 10) for level in levels]) - rounding
    assert -10 * np.log10(error) == pytest.approx(stylefile.read_info(style).int8["psnr"], abs=1)


def test_bundled_styles_in_8_bits_on_real_photos():
    """Those that carry ranges, of trained networks: random weights say little about 8 bits."""
    names = [name for name, path in stylefile.bundled().items() if stylefile.read_info(path).int8]
    assert "gogh" in names
    photos = real_photos(360, 480)[::2]
    for name in names:
        eight, full = (Stylizer.load(name, backend="openvino", precision=how) for how in ("int8", "f32"))
        levels = [psnr(eight(photo), full(photo)) for photo in photos]
        assert np.mean(levels) >= 40 and min(levels) >= 37, (name, levels)


def test_no_bundled_style_is_too_far_from_itself_in_8_bits():
    """One of a network of many that was would have all of them painted in 32 bits, at half the rate."""
    for path in stylefile.BUNDLED.glob("*.safetensors"):
        assert stylefile.read_info(path).int8["psnr"] >= ranges.ENOUGH, path.name


@pytest.mark.parametrize(
    ("processor", "level", "chosen"), [(True, 41.0, True), (True, 39.0, False), (False, 41.0, False)]
)
def test_auto_takes_it_where_it_pays_and_nobody_sees_it(tmp_path, monkeypatch, capsys, processor, level, chosen):
    monkeypatch.setattr(openvino_backend, "has_int8", lambda: processor)
    style = with_ranges(tmp_path / "style.safetensors", psnr=level)
    assert Stylizer.load(style, backend="openvino", precision="f32")._backend.precision == "f32"
    assert capsys.readouterr().err == ""
    for _ in range(2):
        assert (Stylizer.load(style, backend="openvino")._backend.precision == "int8") == chosen
    assert capsys.readouterr().err.count("precision=f32") == chosen  # once


START = """
import sys, json, numpy as np
from fst.stylize import Stylizer
Stylizer.load(sys.argv[1], backend="openvino", precision="int8", live=True)(np.zeros((48, 64, 3), np.uint8))
print(json.dumps([name for name in ("torch", "onnx", "nncf") if name in sys.modules]))
"""


def test_it_starts_without_torch(tmp_path):
    style = with_ranges(tmp_path / "style.safetensors")
    Stylizer.load(style, precision="int8")
    done = subprocess.run([sys.executable, "-c", START, style], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


@pytest.mark.parametrize(
    "foreign",
    [{}, {"inputs": {}}, {"inputs": 3, "psnr": 50}, {"inputs": {"layers.1.0": "x"}, "psnr": 50},
     {"inputs": {"layers.1.0": [0, None]}, "psnr": 50}, {"inputs": {"layers.1.0": [0, 1]}}],
)  # fmt: skip
def test_a_file_without_ranges_or_with_a_strangers_paints_as_ever(tmp_path, foreign):
    path = make_style(tmp_path / "style.safetensors", "realtime", int8=foreign)
    assert Stylizer.load(path, backend="openvino")._backend.precision != "int8"
    with pytest.raises(UserError, match=r"python -m fst\.stylize\.ranges"):
        Stylizer.load(path, precision="int8")


def test_ranges_are_put_into_a_file_and_change_nothing_else(tmp_path, capsys):
    network, info = stylefile.load(make_style(tmp_path / "full.safetensors", "realtime"))
    path = stylefile.save(tmp_path / "style.safetensors", network, info, half=True)
    size = path.stat().st_size
    images.write(tmp_path / "photos/a.png", picture(140, 170))
    ranges.main([str(path), str(tmp_path / "photos")])
    assert "dB from 32" in capsys.readouterr().out
    described = stylefile.read_info(path)
    assert described.int8["inputs"] and dataclasses.replace(described, int8={}) == info
    assert 0 < path.stat().st_size - size < 4000
    before, after = (stylefile.load(file)[0].state_dict() for file in (tmp_path / "full.safetensors", path))
    assert all(torch.equal(before[key].half(), after[key].half()) for key in before)


def test_ranges_of_several_styles_hold_for_each():
    one, other = (
        {"psnr": 45.0, "inputs": {"a": [-1, 2], "b": [0, 9]}},
        {"psnr": 42.0, "inputs": {"a": [-3, 1], "b": [0, 9]}},
    )
    assert ranges.widest([one, other]) == {"psnr": 42.0, "inputs": {"a": [-3, 2], "b": [0, 9]}}


def test_photos_to_measure_on_are_spread_over_the_folder(tmp_path, monkeypatch):
    style = make_style(tmp_path / "style.safetensors", "realtime")
    for level in range(7):
        images.write(tmp_path / f"photos/{level}.png", np.full((40, 60, 3), level, np.uint8))
    seen = []
    monkeypatch.setattr(ranges, "PHOTOS", 3)
    monkeypatch.setattr(ranges, "measure", lambda _, photos: seen.extend(photos) or {"psnr": 50, "inputs": {}})
    ranges.main([str(style), str(tmp_path / "photos")])
    assert [round(photo.mean().item() * 255) for photo in seen] == [0, 2, 4]
    assert {tuple(photo.shape) for photo in seen} == {(1, 3, ranges.SIDE, ranges.SIDE)}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"precision": "int4"}, "precision is 'int4'"),
        ({"precision": "int8", "backend": "torch"}, "OpenVINO"),
        ({"precision": "bf16", "backend": "torch"}, "OpenVINO"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(tmp_path, words, says):
    with pytest.raises(UserError, match=says) as caught:
        Stylizer.load(make_style(tmp_path / "style.safetensors"), **words)
    assert "\n" not in str(caught.value)
