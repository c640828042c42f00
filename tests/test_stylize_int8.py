"""precision=int8: how near it comes to torch in fp32, what it is calibrated on, that it is paid for once."""

import json
import subprocess
import sys

import numpy as np
import openvino as ov
import pytest
from photos import real_photos
from styles import make_style
from test_stylize import picture
from test_stylize_backends import psnr

import infer
from fst import images, stylefile
from fst.errors import UserError
from fst.stylize import Stylizer, int8
from fst.stylize.openvino_backend import core


@pytest.fixture(scope="module")
def style(tmp_path_factory):
    return make_style(tmp_path_factory.mktemp("styles") / "poplars.safetensors", "realtime")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def quick(monkeypatch, home):
    """Few and small calibration pictures, and one store for the module."""
    monkeypatch.setattr(int8, "PICTURES", 8)
    monkeypatch.setattr(int8, "SIDE", 128)
    monkeypatch.setenv("FST_HOME", str(home))


def test_convolutions_alone_are_in_8_bits(style):
    stylizer = Stylizer.load(style, backend="openvino", precision="int8")
    model = core().read_model(stylizer._backend.folder / "network.xml")
    quantised = [op for op in model.get_ordered_ops() if op.get_type_name().startswith("Convolution")]
    assert quantised
    for convolution in quantised:
        # Weights are stored as 8-bit numbers: constant, convert, scale.
        weights = convolution.input_value(1).get_node()
        while weights.get_type_name() != "Constant":
            weights = weights.input_value(0).get_node()
        assert weights.get_element_type() == ov.Type.i8
    for op in model.get_ordered_ops():
        if op.get_type_name() == "MVN":
            assert op.get_output_element_type(0) == ov.Type.f32


@pytest.mark.parametrize("calibrated", ["on made pictures", "on photos"])
def test_int8_agrees_with_torch_on_real_photos(calibrated, tmp_path):
    """Of a trained style: random weights say little about 8 bits."""
    photos = real_photos(183, 251)
    for number, photo in enumerate(photos):
        images.write(tmp_path / f"{number}.png", photo)
    folder = str(tmp_path) if calibrated == "on photos" else None
    stylizer = Stylizer.load("gogh", backend="openvino", precision="int8", calibration=folder)
    reference = Stylizer.load("gogh", backend="torch")
    levels = [psnr(stylizer(photo), reference(photo)) for photo in photos]
    assert np.mean(levels) >= 36 and min(levels) >= 33
    assert max(levels) < 60  # it is int8 that painted


START = """
import sys, json, numpy as np
from fst.stylize import Stylizer
Stylizer.load(sys.argv[1], backend="openvino", precision="int8", live=True)(np.zeros((48, 64, 3), np.uint8))
print(json.dumps([name for name in ("torch", "nncf", "scipy") if name in sys.modules]))
"""


def test_it_is_quantised_once_for_each_calibration(style, tmp_path, monkeypatch):
    first = Stylizer.load(style, precision="int8")
    assert first.backend == "openvino"
    made = []
    with monkeypatch.context() as patch:
        patch.setattr(int8, "quantise", lambda *given: made.append(given))
        again = Stylizer.load(style, precision="int8", live=True)
    assert again._backend.folder == first._backend.folder and made == []
    done = subprocess.run([sys.executable, "-c", START, style], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []  # and without what quantising needs
    for seed in range(2):
        images.write(tmp_path / f"{seed}.png", picture(140, 170, seed))
    photos = Stylizer.load(style, precision="int8", calibration=str(tmp_path))
    assert photos._backend.folder != first._backend.folder
    images.write(tmp_path / "more.png", picture(150, 130, 5))
    assert int8.calibration_key(str(tmp_path)) != int8.calibration_key(None)
    more = Stylizer.load(style, precision="int8", calibration=str(tmp_path))
    assert more._backend.folder != photos._backend.folder


def test_made_pictures_have_a_photos_spectrum():
    made = int8._made_pictures()
    assert len(made) == 8 and made[0].shape == (128, 128, 3) and made[0].dtype == np.uint8
    power = np.mean([np.abs(np.fft.fft2(one.mean(axis=2))) ** 2 for one in made], axis=0)
    low, high = power[1:5, 0].mean(), power[16:33, 0].mean()
    assert 10 < low / high < 1000  # 1/f amplitude: (24 / 2.5)² = 92; white noise: 1


def test_a_command_line_may_ask_for_it(style, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stylefile, "BUNDLED", style.parent)
    images.write(tmp_path / "photo.png", picture(40, 56))
    infer.main(["source=photo.png", "style=poplars", "precision=int8", "output=eight.png"])
    assert capsys.readouterr().out == "eight.png\n"  # nothing of NNCF's on standard output
    infer.main(["source=photo.png", "style=poplars", "output=float.png", "backend=torch"])
    assert 15 < psnr(images.read("eight.png"), images.read("float.png")) < 60


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"precision": "int4"}, "unknown precision 'int4'"),
        ({"precision": "int8", "backend": "torch"}, "OpenVINO"),
        ({"precision": "bf16", "backend": "torch"}, "OpenVINO"),
        ({"precision": "int8", "calibration": "no-such-folder"}, "no-such-folder does not exist"),
        ({"calibration": "photos"}, "precision=int8"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(style, words, says):
    with pytest.raises(UserError, match=says) as caught:
        Stylizer.load(style, **words)
    assert "\n" not in str(caught.value)


def test_without_nncf_it_says_what_to_install(style, tmp_path, monkeypatch):
    monkeypatch.setenv("FST_HOME", str(tmp_path))
    find = int8.require.__globals__["importlib"].util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "nncf" else find(name))
    with pytest.raises(UserError, match="pip install nncf, or choose precision=auto"):
        Stylizer.load(style, precision="int8")
