"""experiments/speed/inference.py and experiments/gallery.py: that they measure what they say, on small things."""

import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from styles import make_style
from test_stylize import picture

from fst import images, stylefile
from fst.errors import UserError

EXPERIMENTS = Path(__file__).resolve().parent.parent / "experiments"
sys.path += [str(EXPERIMENTS), str(EXPERIMENTS / "speed")]
import gallery  # noqa: E402
import inference  # noqa: E402
import measures  # noqa: E402


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    measures.make_clip(None, path, 96, 128, 1)
    return path


class Clock:
    """A clock in the place of `time` that moves only when told to."""

    def __init__(self) -> None:
        self.now = 5.0

    def perf_counter(self) -> float:
        return self.now


class Slow:
    """A Stylizer's outside that takes a quarter of a second a frame."""

    name = "slow"

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def __call__(self, frame):
        self.clock.now += 0.25
        return frame

    def stream(self, frames, count=None):
        return map(self, frames)


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(measures, "time", clock)
    return clock


def test_a_made_clip_has_its_size_and_sound(clip):
    with av.open(str(clip)) as film:
        video, sound = film.streams.video[0], film.streams.audio[0]
        assert (video.width, video.height, video.average_rate) == (128, 96, 24)
        assert sum(frame.samples for frame in film.decode(sound)) >= 48000
    with av.open(str(clip)) as film:
        assert sum(1 for _ in film.decode(video=0)) == 24


def test_a_film_is_painted_whole_and_timed(clip, clock, monkeypatch):
    monkeypatch.setattr(measures, "_stylizer", lambda *words, **more: Slow(clock))
    assert measures.film("any", str(clip), "auto") == {"seconds": 0.25, "fps": 4.0}


def test_medians_leave_warming_up_out(clock):
    pauses = iter([9.0, 9.0, 1.0, 2.0, 5.0])

    def work():
        clock.now += next(pauses)

    assert measures.median_seconds(work, 3) == 2.0


def test_each_row_is_a_process_that_tells_its_memory(tmp_path):
    style = make_style(tmp_path / "style.safetensors", "realtime")
    words = {"height": 48, "width": 64, "repeats": 2, "backend": "openvino", "precision": "f32"}
    found = inference.row("paint", {"FST_HOME": str(tmp_path)}, style=str(style), **words)
    assert found["precision"] == "f32" and found["seconds"] > 0 and found["fps"] > 0
    assert 50 < found["memory"] < 5000  # MB
    with pytest.raises(UserError, match="no-such-style"):
        inference.row("paint", style="no-such-style", **words)


def test_tables_hold_ratios_of_one_run():
    def one(size, network, how, precision, seconds, memory):
        return {"size": size, "network": network, "how": how, "precision": precision} | {
            "seconds": seconds, "memory": memory, "fps": 2 / seconds
        }  # fmt: skip

    painting = []
    for size in inference.SIZES:
        painting += [
            one(size, "johnson", "eager", "f32", 0.8, 2000),
            one(size, "johnson", "eager, malloc tuned", "f32", 0.4, 2100),
            one(size, "johnson", "openvino", "f32", 0.1, 900),
            one(size, "johnson", "openvino", "int8", 0.05, 700),
            one(size, "realtime", "openvino", "f32", 0.02, 500),
        ]
    films = {size: {"fps": 51.25} for size in inference.FILMS}
    results = {
        "painting": painting,
        "films": {"auto": films},
        "webcam": {"auto": {"fps": 33.5, "glass": 0.0415}},
        "fading": {"share": 0.975},
        "start": {"cold": 9.0, "cached": 1.25},
    }
    table = inference.painting_table(painting)
    assert "| 640×480 | johnson | openvino | f32 | 100.0 | 10.0 | 20.0 | 900 | 8.00 | 4.00 |" in table
    goals = inference.goal_table(results)
    for line in [
        "johnson, 640×480, times eager | ≥ 4.5 | 8 |",
        "johnson int8, 640×480, times eager |  | 16 |",
        "640×480, auto, fps | ≥ 75 | 51.2 |",
        "camera to painted, ms | ≤ 25 | 41.5 |",
        "share of the rate at rest | ≥ 0.95 | 0.975 |",
        "realtime, share of eager's | ≤ 0.5 | 0.25 |",
        "first frame, s | ≤ 0.8 | 1.25 |",
    ]:
        assert line in goals


def test_the_gallery_has_a_row_a_style_under_the_photos(tmp_path, monkeypatch):
    monkeypatch.setattr(stylefile, "BUNDLED", tmp_path / "shelf")
    monkeypatch.setenv("FST_HOME", str(tmp_path))
    for name in ("gogh", "hokusai"):
        make_style(tmp_path / "shelf" / f"{name}.safetensors", "realtime")
    for number in range(2):
        images.write(tmp_path / f"{number}.png", picture(90, 160, number))
    arguments = ["gallery.py", str(tmp_path / "0.png"), str(tmp_path / "1.png"), "--output", str(tmp_path / "out.jpg")]
    monkeypatch.setattr(sys, "argv", [*arguments, "--width", "96", "--size", "96"])
    gallery.main()
    with Image.open(tmp_path / "out.jpg") as sheet:
        pixels = np.asarray(sheet)
    row = gallery.LABEL + 72 + gallery.GAP
    assert pixels.shape == (3 * row - gallery.GAP, 2 * (96 + gallery.GAP) - gallery.GAP, 3)
    photo = images.resize(picture(90, 160), (72, 96), box=(0, 20, 90, 120)).astype(float)
    assert np.abs(pixels[gallery.LABEL : gallery.LABEL + 72, :96] - photo).mean() < 6
    painted = pixels[row + gallery.LABEL : row + gallery.LABEL + 72, :96]
    assert np.abs(painted - photo).mean() > 20


def test_parts_of_a_films_frame_add_up(clip, tmp_path, monkeypatch):
    monkeypatch.setenv("FST_HOME", str(tmp_path))
    style = make_style(tmp_path / "style.safetensors", "realtime")
    parts = measures.film_parts(str(style), str(clip), "f32")["parts"]
    assert parts["encoding"] > 0 and parts["network"] > 0
    everything = parts.pop("everything")
    assert sum(parts.values()) == pytest.approx(everything)


def test_fading_is_told_from_rest(monkeypatch):
    """Painters that take twice as long for a style vector between two styles."""
    many = object()

    class Painter:
        strength, colors = 1.0, "style"

        def __init__(self, index: int) -> None:
            self.name, self.many, self.vector = f"style {index}", many, np.float32([index])

        def __call__(self, frame: np.ndarray, vector: np.ndarray) -> np.ndarray:
            measures.time.sleep(0.004 if vector[0] in (0, 1, 2) else 0.008)
            return frame

    made = iter(range(3))
    monkeypatch.setattr(measures, "_stylizer", lambda *_, **__: Painter(next(made)))
    found = measures.fading(8, 8, 0.6, rounds=1)
    assert found["rest"] > 1.3 * found["fading"] and 0.2 < found["share"] < 0.8
