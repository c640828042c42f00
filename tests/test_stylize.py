"""The Stylizer: what style= finds, what settings do to a frame, types and sizes that come back."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from styles import make_many, make_style

from fst import stylefile
from fst.errors import UserError
from fst.stylize import Stylizer, framing, styles


@pytest.fixture(scope="module")
def style(tmp_path_factory) -> Path:
    return make_style(tmp_path_factory.mktemp("styles") / "poplars.safetensors")


@pytest.fixture(scope="module")
def stylizer(style) -> Stylizer:
    return Stylizer.load(style, backend="torch")


@pytest.fixture
def shelf(tmp_path, monkeypatch) -> Path:
    """A shelf of bundled styles: gogh and hokusai."""
    make_style(tmp_path / "shelf/gogh.safetensors", "realtime")
    make_style(tmp_path / "shelf/hokusai.safetensors", "realtime")
    make_many(tmp_path / "shelf/many.safetensors")
    monkeypatch.setattr(stylefile, "BUNDLED", tmp_path / "shelf")
    return tmp_path / "shelf"


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def by_hand(style: Path, frame: np.ndarray) -> np.ndarray:
    network, _ = stylefile.load(style)
    m = framing.MARGIN
    mirrored = frame[:, [_mirrored(x, frame.shape[1]) for x in range(-m, frame.shape[1] + m)]]
    mirrored = mirrored[[_mirrored(y, frame.shape[0]) for y in range(-m, frame.shape[0] + m)]]
    with torch.inference_mode():
        painted = network(torch.tensor(mirrored / 255.0, dtype=torch.float32).permute(2, 0, 1)[None])[0, :, m:-m, m:-m]
    return (painted.clamp(0, 1) * 255).round().permute(1, 2, 0).numpy().astype(np.uint8)


def _mirrored(index: int, length: int) -> int:
    """Where an index outside 0..length-1 falls when the row is mirrored at its end pixels again and again."""
    period = max(1, 2 * (length - 1))
    return min(index % period, period - index % period) if length > 1 else 0


@pytest.mark.parametrize("size", [(64, 64), (65, 47), (3, 70), (1, 1), (17, 16)])
def test_a_frame_comes_back_painted_at_its_size(style, stylizer, size):
    frame = picture(*size)
    painted = stylizer(frame)
    assert painted.dtype == np.uint8 and painted.shape == frame.shape
    assert np.abs(painted.astype(int) - by_hand(style, frame)).max() <= 1


def test_a_pil_image_comes_back_as_one(stylizer):
    frame = picture(40, 50)
    painted = stylizer(Image.fromarray(frame))
    assert isinstance(painted, Image.Image) and painted.size == (50, 40)
    assert np.array_equal(np.asarray(painted), stylizer(frame))
    assert stylizer(Image.fromarray(frame).convert("RGBA")).mode == "RGB"


@pytest.mark.parametrize("wrong", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), np.float32), "photo.jpg"])
def test_what_is_no_frame_is_refused(stylizer, wrong):
    with pytest.raises(TypeError, match="uint8"):
        stylizer(wrong)


def test_a_frame_that_may_not_be_written_or_is_a_view_is_painted_and_left_alone(stylizer):
    frame = picture(40, 50)
    frame.flags.writeable = False
    expected = stylizer(frame[:, ::-1].copy())
    assert np.array_equal(stylizer(frame[:, ::-1]), expected)


def test_a_stream_is_painted_in_order(stylizer):
    frames = [picture(32, 40, seed) for seed in range(5)]
    for painted, frame in zip(stylizer.stream(iter(frames)), frames, strict=True):
        assert np.array_equal(painted, stylizer(frame))
    assert list(stylizer.stream([])) == []


def test_strength_blends_source_and_painting(style):
    frame = picture(40, 48)
    stylizer = Stylizer.load(style, backend="torch", strength=0)
    assert np.array_equal(stylizer(frame), frame)
    stylizer.strength = 1
    painted = stylizer(frame).astype(float)
    stylizer.strength = 0.25
    assert np.abs(stylizer(frame) - (0.25 * painted + 0.75 * frame)).max() <= 0.51


def test_colors_content_keeps_the_sources_chroma_and_the_paintings_luminance():
    # In a narrow range nothing is clipped, so both can be recovered.
    source, painted = (picture(40, 48, seed) // 4 + 96 for seed in (1, 2))
    mixed = framing.finish(source, painted, 1.0, "content").astype(float)

    def luma(pixels):  # ITU-R BT.601
        return pixels @ [0.299, 0.587, 0.114]

    def chroma(pixels):
        return np.stack([pixels[..., 0] - luma(pixels), pixels[..., 2] - luma(pixels)])

    assert np.abs(luma(mixed) - luma(painted.astype(float))).max() < 2.5
    assert np.abs(chroma(mixed) - chroma(source.astype(float))).max() < 2.5


@pytest.mark.parametrize("size", [32, 200])
def test_size_is_the_networks_long_edge_and_the_result_has_the_sources(style, size):
    seen = []
    stylizer = Stylizer.load(style, backend="torch", size=size)
    run = stylizer._backend.stylize
    stylizer._backend.stylize = lambda frame, vector: seen.append(frame.shape) or run(frame, vector)
    assert stylizer(picture(60, 120)).shape == (60, 120, 3)
    assert seen == [(size // 2 + 2 * framing.MARGIN, size + 2 * framing.MARGIN, 3)]


def test_live_frames_have_no_margin(style):
    frame = picture(48, 64)
    network, _ = stylefile.load(style)
    with torch.inference_mode():
        painted = network(torch.from_numpy(frame).permute(2, 0, 1)[None] / 255)
    expected = (painted[0].clamp(0, 1) * 255).round().permute(1, 2, 0).numpy()
    assert np.abs(Stylizer.load(style, backend="torch", live=True)(frame) - expected).max() <= 1


def test_a_large_photo_that_the_network_sees_small_is_not_painted_in_strips(style):
    assert Stylizer.load(style, backend="torch")._in_strips(4000, 6000)
    assert not Stylizer.load(style, backend="torch", size=1500)._in_strips(4000, 6000)


@pytest.mark.parametrize(
    ("size", "mode"), [((17, 38), "reflect"), ((40, 9), "reflect"), ((9, 40), "reflect"), ((40, 7), "edge")]
)
def test_a_frame_grows_to_what_a_network_takes_by_reflection_as_far_as_it_goes(size, mode):
    frame = picture(*size)
    sides = [(0, max(-edge % 4, 16 - edge)) for edge in size]
    traits = SimpleNamespace(multiple=4, smallest=16)
    assert np.array_equal(framing.pad(frame, traits), np.pad(frame, (*sides, (0, 0)), mode=mode))


def test_a_large_frame_is_reduced_by_means_and_a_small_one_enlarged_smoothly():
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3)).astype(np.uint8)
    means = noise.reshape(32, 4, 32, 4, 3).mean((1, 3))
    assert np.abs(framing.working(noise, 32) - means).max() <= 1
    ramp = np.repeat(np.linspace(0, 240, 31).astype(np.uint8)[None, :, None], 31, axis=0).repeat(3, axis=2)
    assert np.abs(np.diff(framing.working(ramp, 124)[60, 8:-8, 0].astype(int)) - 2).max() <= 1


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"strength": 1.5}, "between 0 and 1: 0 is the source"),
        ({"strength": float("nan")}, "between 0 and 1"),
        ({"colors": "contents"}, "'content'"),
        ({"size": 3}, "between 16 and 16384: the pixels of the long edge"),
        ({"backend": "opnvino"}, "'openvino'"),
    ],
)
def test_a_setting_out_of_range_is_said_in_a_line(style, wrong, says):
    with pytest.raises(UserError, match=says) as caught:
        Stylizer.load(style, **wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "wrong"), [("strength", 1.5), ("strength", -0.1), ("colors", "contnt")])
def test_what_is_set_between_frames_is_checked_and_a_mistake_changes_nothing(style, name, wrong):
    stylizer = Stylizer.load(style, backend="torch", strength=0.5, colors="content")
    with pytest.raises(UserError, match=f"{name} is"):
        setattr(stylizer, name, wrong)
    assert (stylizer.strength, stylizer.colors) == (0.5, "content")


def test_bundled_names(shelf):
    assert styles.find("gogh").info.network == "realtime"
    with pytest.raises(UserError, match="did you mean 'hokusai'"):
        styles.find("hokusay")


def test_style_lists_and_a_file_with_a_comma(shelf, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert styles.split("gogh,hokusai") == ["gogh", "hokusai"]
    make_style(tmp_path / "a,b.safetensors")
    assert styles.split("a,b.safetensors") == ["a,b.safetensors"]
    with pytest.raises(UserError, match="empty style"):
        styles.split("gogh,")


def test_a_run_folder_gives_its_newest_style_file(tmp_path):
    network, info = stylefile.load(make_style(tmp_path / "old/water.safetensors"))
    stylefile.save(tmp_path / "old/style.safetensors", network, info)
    found = styles.find(tmp_path / "old")
    assert (found.path.name, found.name) == ("style.safetensors", "water")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no style file"):
        styles.find(tmp_path / "empty")


def test_a_checkpoint_paints_as_its_style_file(tmp_path, style):
    network, info = stylefile.load(style)
    state = {f"network.{key}": value for key, value in network.state_dict().items()} | {"loss.mean": torch.zeros(3)}
    torch.save({"fst_style": dataclasses.asdict(info), "state_dict": state}, tmp_path / "last.ckpt")
    frame = picture(40, 48)
    stylizer = Stylizer.load(tmp_path / "last.ckpt", backend="torch")
    assert stylizer.name == "poplars"
    assert np.array_equal(stylizer(frame), Stylizer.load(style, backend="torch")(frame))


def test_a_checkpoint_of_odd_values_is_one_line(tmp_path, style):
    network, info = stylefile.load(style)
    about = dataclasses.asdict(info)
    state = {f"network.{key}": value for key, value in network.state_dict().items()}
    odd = [(about, {**state, next(iter(state)): 3}), (about, {**state, 5: 3}), ({**about, "name": None}, state)]
    odd += [({**about, "settings": []}, state), ("name", state), ({**about, "network": 3}, state)]
    for number, (fields, values) in enumerate(odd):
        path = tmp_path / f"odd{number}.ckpt"
        torch.save({"fst_style": fields, "state_dict": values}, path)
        with pytest.raises(UserError, match=path.name):
            styles.find(path).network()


def test_a_checkpoint_of_another_version_is_read_as_a_style_file_is(tmp_path, style):
    """By one reading of what both say of themselves: fields of a newer fst that this one can do without are no harm."""
    network, info = stylefile.load(style)
    state = {f"network.{key}": value for key, value in network.state_dict().items()}
    about, path = dataclasses.asdict(info), tmp_path / "last.ckpt"
    torch.save({"fst_style": {**about, "since": "then"}, "state_dict": state}, path)
    assert styles.find(path).info == info
    torch.save({"fst_style": {**about, "format": stylefile.FORMAT + 1}, "state_dict": state}, path)
    with pytest.raises(UserError, match="newer fst"):
        styles.find(path)


def test_a_folder_of_style_files_is_each_of_them(tmp_path):
    for name in ("b", "a"):
        make_style(tmp_path / f"styles/{name}.safetensors")
    assert [Path(name).stem for name in styles.split(str(tmp_path / "styles"))] == ["a", "b"]


def test_a_picture_without_pixels_is_refused(style):
    with pytest.raises(ValueError, match="at least one pixel"):
        Stylizer.load(style)(np.zeros((0, 5, 3), np.uint8))


def test_a_checkpoint_of_many_styles_is_one_line(tmp_path):
    network, info = stylefile.load(make_many(tmp_path / "many.safetensors"))
    state = {f"network.{key}": value for key, value in network.state_dict().items()}
    torch.save({"fst_style": dataclasses.asdict(info), "state_dict": state}, tmp_path / "last.ckpt")
    with pytest.raises(UserError, match="holds many styles"):
        styles.find(tmp_path / "last.ckpt")


def test_a_run_that_was_killed_while_it_wrote_still_paints(tmp_path, style):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/style.safetensors").write_bytes(style.read_bytes())
    (tmp_path / "run/.style-12345678.safetensors").write_bytes(b"half")
    assert styles.find(tmp_path / "run").path.name == "style.safetensors"


class Opened:
    """Writes a file when it is unpickled: what a hostile checkpoint could do."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_checkpoint_runs_no_code_and_strange_files_are_refused(tmp_path):
    torch.save({"fst_style": Opened(tmp_path / "ran"), "state_dict": {}}, tmp_path / "bad.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    (tmp_path / "text.ckpt").write_text("hello")
    (tmp_path / "text.safetensors").write_text("hello")
    for name in ("bad.ckpt", "other.ckpt", "text.ckpt", "text.safetensors", "none.ckpt", "none.safetensors"):
        with pytest.raises(UserError, match=name):
            styles.find(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_a_wandb_artifact_without_a_key_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("FST_HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setenv("WANDB_API_KEY", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UserError, match="someone/fst/gogh:latest") as caught:
        styles.find("wandb:someone/fst/gogh:latest")
    assert "\n" not in str(caught.value)
