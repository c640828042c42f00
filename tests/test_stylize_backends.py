"""Backends against torch in fp32, what a second start imports, and the exported file in ONNX Runtime."""

import copy
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from photos import real_photos
from styles import make_style
from test_stylize import picture

from fst import images
from fst.errors import UserError
from fst.networks import Network
from fst.stylize import Stylizer, backend, cache, export
from fst.stylize.openvino_backend import has_bf16

NETWORKS = ["johnson", "realtime", "johnson_paper"]


@pytest.fixture(autouse=True, scope="module")
def home(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FST_HOME", str(tmp_path_factory.mktemp("home")))
        yield Path(os.environ["FST_HOME"])


@pytest.fixture(scope="module")
def shelf(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("styles")
    return {network: make_style(folder / f"{network}.safetensors", network) for network in NETWORKS}


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    return 10 * np.log10(255**2 / max(np.mean((first.astype(float) - second) ** 2), 1e-9))


@pytest.mark.parametrize("network", NETWORKS)
def test_openvino_agrees_with_torch(shelf, network):
    reference = Stylizer.load(shelf[network], backend="torch")
    stylizer = Stylizer.load(shelf[network], backend="openvino", precision="f32")
    # Odd and tiny sizes, and one twice: OpenVINO compiles a shape that comes again.
    for size in [(96, 128), (96, 128), (61, 47), (5, 90), (1, 1)]:
        frame = picture(*size)
        painted = stylizer(frame)
        assert painted.shape == frame.shape and painted.dtype == np.uint8
        assert psnr(painted, reference(frame)) >= 40
    kept = stylizer(picture(40, 48))
    copy = kept.copy()
    stylizer(picture(40, 48, seed=1))  # a backend's own buffers are written again
    assert np.array_equal(kept, copy) and kept.flags.c_contiguous


@pytest.mark.parametrize("precision", ["bf16", "f32"])
@pytest.mark.parametrize("network", ["johnson", "realtime"])
def test_each_precision_agrees_on_real_photos(shelf, network, precision):
    photos = real_photos(183, 251)
    reference = Stylizer.load(shelf[network], backend="torch")
    if precision == "bf16" and not has_bf16():
        with pytest.raises(UserError, match="no bf16"):
            Stylizer.load(shelf[network], backend="openvino", precision=precision)
        pytest.skip("this processor has no bf16")
    stylizer = Stylizer.load(shelf[network], backend="openvino", precision=precision)
    for photo in photos:
        assert psnr(stylizer(photo), reference(photo)) >= (40 if precision == "bf16" else 60)


def test_a_stream_is_in_order_also_when_frames_change_size_midway(shelf):
    stylizer = Stylizer.load(shelf["realtime"], backend="openvino")
    sizes = [(48, 64)] * 5 + [(33, 40)] * 2 + [(48, 64)]
    frames = [picture(*size, seed) for seed, size in enumerate(sizes)]
    results = list(stylizer.stream(iter(frames)))
    assert [result.shape for result in results] == [frame.shape for frame in frames]
    for result, frame in zip(results, frames, strict=True):
        assert psnr(result, stylizer(frame)) >= 40


def test_a_stream_keeps_two_frames_in_flight(shelf):
    stylizer = Stylizer.load(shelf["realtime"], backend="openvino")
    asked = []

    def frames():
        for seed in range(6):
            asked.append(seed)
            yield picture(48, 64, seed)

    painted = stylizer.stream(frames())
    next(painted)
    assert asked == [0, 1, 2]  # two were handed on before the first was waited for, no more


def test_one_stylizer_may_be_called_from_several_threads(shelf):
    stylizer = Stylizer.load(shelf["realtime"], backend="openvino", live=True)
    frames = [picture(48, 64, seed) for seed in range(4)]
    expected = [stylizer(frame) for frame in frames]
    wrong = []

    def work(index):
        for _ in range(10):
            if not np.array_equal(stylizer(frames[index]), expected[index]):
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_few_compiled_shapes_are_kept(shelf, monkeypatch):
    monkeypatch.setattr("fst.stylize.openvino_backend.SHAPES_KEPT", 2)
    stylizer = Stylizer.load(shelf["realtime"], backend="openvino", live=True)
    for side in (20, 24, 28):
        stylizer(picture(side, side))
    assert stylizer._backend.compiled.cache_info().currsize == 2


SIGNAL = """
import gc, os, signal, sys
import numpy as np
from fst.stylize import Stylizer
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
frame = np.zeros((48, 64, 3), np.uint8)
first, second = (Stylizer.load(style, backend="openvino", live=True) for style in sys.argv[1:])
first(frame), second(frame)
del first
gc.collect()
del second
gc.collect()
os.kill(os.getpid(), signal.SIGUSR1)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_signals_are_handled_after_styles_have_come_and_gone(shelf):
    arguments = [sys.executable, "-c", SIGNAL, shelf["realtime"], shelf["johnson"]]
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "handled\n")


START = """
import json, sys
import numpy as np
import fst.media.live.camera
from fst.stylize import Stylizer
painted = Stylizer.load(sys.argv[1], backend="openvino", live=True)(np.zeros((48, 64, 3), np.uint8))
heavy = ("torch", "pytorch_lightning", "hydra", "wandb", "torchvision", "onnx", "nncf", "scipy", "rich")
heavy += ("openvino.tools.ovc", "openvino_telemetry", "av", "pi_heif")
print(json.dumps([painted.shape, [name for name in heavy if name in sys.modules]]))
"""


def test_a_style_opened_before_starts_without_torch(shelf):
    Stylizer.load(shelf["realtime"], backend="openvino")
    done = subprocess.run([sys.executable, "-c", START, shelf["realtime"]], capture_output=True, text=True)
    assert json.loads(done.stdout) == [[48, 64, 3], []]  # which takes seconds; this about one


def test_new_weights_under_the_same_name_are_not_taken_for_the_old(shelf, tmp_path):
    path = tmp_path / "style.safetensors"
    frame = picture(48, 64)
    painted = {}
    for network in ("johnson", "realtime"):
        path.write_bytes(shelf[network].read_bytes())
        painted[network] = Stylizer.load(path, backend="openvino")(frame)
        assert psnr(painted[network], Stylizer.load(path, backend="torch")(frame)) >= 40
    assert psnr(painted["johnson"], painted["realtime"]) < 30


def test_what_is_kept_is_made_anew_where_a_source_or_the_code_changes(tmp_path, monkeypatch):
    monkeypatch.setenv("FST_HOME", str(tmp_path))
    monkeypatch.setattr(cache, "FST", tmp_path)
    code, source, made = tmp_path / "networks/one.py", tmp_path / "style", []
    code.parent.mkdir()

    def of(kind: str) -> Path:
        return cache.made_once("making", kind, [source, b"x"], made.append)

    for file, text in ((code, "1"), (source, "1"), (code, "2"), (source, "2")):
        code.touch(), source.touch()
        file.write_text(text)
        assert of("a") == of("a")
    assert len(made) == 4
    assert of("b") != of("a") and len(made) == 5
    monkeypatch.setattr(cache, "FST", tmp_path / "nothing")

    def fail(folder: Path) -> None:
        raise UserError("no")

    with pytest.raises(UserError):
        cache.made_once("making", "a", [source], fail)
    assert not list((tmp_path / "compiled").glob(".*")), "nothing unfinished is left"


def test_a_store_that_may_not_be_written_is_done_without(shelf, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("where a folder should be")
    monkeypatch.setenv("FST_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    Stylizer.load(shelf["realtime"], backend="openvino")(picture(48, 64))
    assert list(tmp_path.glob("fst-*/compiled/openvino-*/network.xml"))


def test_only_what_a_start_begins_with_is_kept_on_disk(home, shelf, tmp_path, monkeypatch):
    monkeypatch.setenv("FST_HOME", str(tmp_path))
    stylizer = Stylizer.load(shelf["realtime"], backend="openvino")
    for side in (20, 24):  # each twice, so that its shape is compiled, and in a stream
        frames = [picture(side, side)] * 2
        list(map(stylizer, frames))
        list(stylizer.stream(frames))
    assert stylizer._backend.compiled.cache_info().currsize == 4
    assert len(list(tmp_path.rglob("*.blob"))) == 1 and not list(tmp_path.rglob("*.onnx"))


def test_a_missing_package_is_one_line(shelf, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install openvino, or choose backend=torch"):
        Stylizer.load(shelf["realtime"], backend="openvino")
    with pytest.raises(UserError, match="pip install onnx"):
        export.export("onnx", str(shelf["realtime"]), None, overwrite=False)
    assert backend._fastest() == "torch"


@pytest.mark.parametrize("network", NETWORKS)
def test_the_exported_file_paints_what_infer_paints_at_any_size(shelf, network, tmp_path):
    target = tmp_path / "style.onnx"
    said = export.export("onnx", str(shelf[network]), str(target), overwrite=False)
    assert said.startswith(str(target)) and "differ by at most" in said and "0..1" in said
    session = onnxruntime.InferenceSession(target)
    told = session.get_modelmeta().custom_metadata_map
    assert json.loads(told["fst"])["network"] == network and "0..1" in told["input"]
    reference = Stylizer.load(shelf[network], backend="torch")
    for size in [(64, 96), (61, 85), (7, 30), (2, 3), (1, 1)]:
        frame = picture(*size)
        [painted] = session.run(["painted"], {"image": images.to_tensor(frame).numpy()})
        assert painted.shape == (1, 3, *size)
        levels = (painted[0].transpose(1, 2, 0) * 255).round()
        assert np.abs(levels - reference(frame)).max() <= 1


def test_an_exported_file_that_paints_otherwise_is_not_left(shelf, tmp_path, monkeypatch):
    def brighter(network: Network) -> Network:
        other = copy.deepcopy(network)
        other.after = lambda features: 0.01 + network.after(features)
        return other

    monkeypatch.setattr("fst.stylize.rewrite.faster", brighter)
    with pytest.raises(UserError, match=r"differs from torch by .* was not written"):
        export.export("onnx", str(shelf["realtime"]), str(tmp_path / "style.onnx"), overwrite=False)
    assert not list(tmp_path.iterdir())


def test_an_export_is_refused_in_a_line(shelf, tmp_path):
    (tmp_path / "there.onnx").write_text("mine")
    for kind, output, says in [
        ("onxx", None, "'onnx'"),
        ("onnx", "a.pb", "should end in .onnx"),
        ("onnx", str(tmp_path / "there.onnx"), "overwrite=true"),
    ]:
        with pytest.raises(UserError, match=says):
            export.export(kind, str(shelf["realtime"]), output, overwrite=False)
    assert (tmp_path / "there.onnx").read_text() == "mine"
