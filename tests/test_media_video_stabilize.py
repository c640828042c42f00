"""Films with stabilize=hold and flow: made clips of known motion, real films, and what is refused."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import cv2
import numpy as np
import pytest
from clips import Identity, film, pixels

from fst.config.infer import compose
from fst.errors import UserError
from fst.evaluate.flicker import frames, measure
from fst.media.paint import paint
from fst.media.video import blend
from fst.media.video.blend import Blend, _kept, _small
from fst.media.video.decode import Frame
from fst.media.video.motion import FAST, Flow
from fst.media.video.paint_video import _painted, paint_video
from fst.media.video.stabilize import Hold, steadier
from fst.stylize.planes import Matrix, Planes

HEIGHT, WIDTH, COUNT = 180, 240, 16


def clouds(height: int, width: int, seed: int = 0) -> np.ndarray:
    """uint8 (H, W, 3): a texture that a flow can follow."""
    noise = np.random.default_rng(seed).random((height, width, 3)).astype(np.float32)
    sum_ = sum(cv2.GaussianBlur(noise, (0, 0), sigma) * sigma for sigma in (2, 4, 8))
    return cv2.normalize(sum_, None, 20, 235, cv2.NORM_MINMAX).astype(np.uint8)


def pan() -> list[np.ndarray]:
    """A camera that goes 3 pixels to the right and 2 down a frame."""
    world = clouds(HEIGHT + 2 * COUNT, WIDTH + 3 * COUNT)
    return [world[2 * n : 2 * n + HEIGHT, 3 * n : 3 * n + WIDTH] for n in range(COUNT)]


class Flickering:
    """Paints a negative that trembles at every frame, and remembers it; two frames in flight."""

    name = "flickering"

    def __init__(self, sigma: float = 10) -> None:
        self.sigma = sigma
        self.painted: list[np.ndarray] = []

    def stream(self, frames: Iterable[np.ndarray], count: int | None = None) -> Iterator[np.ndarray]:
        rng = np.random.default_rng(1)
        waiting = []
        for frame in frames:
            coarse = rng.normal(0, self.sigma, (*(-(-edge // 4) for edge in frame.shape[:2]), 3))
            tremble = cv2.resize(coarse, frame.shape[1::-1], interpolation=cv2.INTER_NEAREST)
            self.painted.append((255.0 - frame + tremble).clip(0, 255).astype(np.uint8))
            waiting.append(self.painted[-1])
            if len(waiting) > 2:
                yield waiting.pop(0)
        yield from waiting


def both(source: list[np.ndarray], sigma: float = 10, way: str = "flow") -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Painted, alone and stabilized."""
    painter = Flickering(sigma)
    frames = (Frame(pixels, number, 1) for number, pixels in enumerate(source))
    return painter.painted, [frame.pixels for frame in _painted(frames, painter, len(source), steadier(way))]


def apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(int) - other).mean())


@pytest.mark.parametrize("edge", [640, 160])
def test_flicker_falls_along_a_known_motion_and_paint_stays_the_painters(monkeypatch, edge) -> None:
    monkeypatch.setattr(blend, "LONG_EDGE", edge)  # the second less than the film's: motion is looked for in 2/3
    source = pan()
    alone, stabilized = both(source)
    before, after = measure(source, alone), measure(source, stabilized)
    assert after.along_motion < 0.4 * before.along_motion
    assert after.long_range < 0.6 * before.long_range
    # Without the trembling, of which an average has less, it is the negative: nothing lags behind or smears.
    truth = [255 - frame for frame in source]
    assert apart(stabilized[-1], truth[-1]) < 0.7 * apart(alone[-1], truth[-1])


def test_one_film_gives_one_result() -> None:
    source = pan()
    assert np.array_equal(both(source)[1], both(source)[1])


@pytest.mark.parametrize("way", ["hold", "flow"])
def test_a_repeated_picture_is_one_picture(way) -> None:
    source = [clouds(HEIGHT, WIDTH)] * 6
    _, stabilized = both(source, sigma=0, way=way)
    assert all(np.array_equal(frame, 255 - source[0]) for frame in stabilized)


@pytest.mark.parametrize("way", ["hold", "flow"])
def test_noise_of_a_dark_webcam_before_a_wall_is_painted_once(way) -> None:
    """Dark, grainy, and no motion but what the noise feigns: the trembling paint nearly stands."""
    rng = np.random.default_rng(3)
    wall = clouds(HEIGHT, WIDTH) // 4
    source = [(wall + rng.normal(0, 6, wall.shape)).clip(0, 255).astype(np.uint8) for _ in range(COUNT)]
    alone, stabilized = both(source, way=way)
    late = [np.mean([apart(*pair) for pair in itertools.pairwise(film[5:])]) for film in (alone, stabilized)]
    assert late[1] < 0.1 * late[0]


def test_after_a_cut_paint_starts_anew() -> None:
    source = pan()[:8] + [frame[::-1, ::-1] for frame in pan()[:8]]
    alone, flowing = both(source)
    held = both(source, way="hold")[1]
    assert apart(alone[8], flowing[8]) < 0.5 < apart(alone[7], flowing[7])
    assert apart(alone[8], held[8]) < 0.5


def test_cuts_of_a_real_film_are_found_and_no_others(store) -> None:
    """Letterboxed, so that half of the picture is the same black; the cuts are where PySceneDetect has them."""
    small = [_small(frame) for frame in itertools.islice(frames(store / "video/scene_cuts.mp4"), 80)]
    flow = Flow(FAST)
    cuts = [index for index in range(1, len(small)) if _kept(flow, small[index], small[index - 1]) is None]
    assert cuts == [30, 76]


@pytest.mark.parametrize("way", ["hold", "flow"])
def test_a_fade_is_not_held_back(way) -> None:
    """To black in a second: the paint is never more than a few levels behind."""
    picture = clouds(HEIGHT, WIDTH)
    source = [(picture * (1 - n / 25)).astype(np.uint8) for n in range(26)]
    alone, stabilized = both(source, sigma=0, way=way)
    assert max(apart(*pair) for pair in zip(alone, stabilized, strict=True)) < 6
    assert apart(alone[-1], stabilized[-1]) < 4


@pytest.mark.parametrize("way", ["hold", "flow"])
def test_what_is_uncovered_is_not_smeared(way) -> None:
    """A square crosses a still background; neither it nor what it leaves behind has the other's paint."""
    source = []
    for number in range(COUNT):
        scene = clouds(HEIGHT, WIDTH).copy()
        scene[60:100, 20 + 8 * number : 60 + 8 * number] = 255 - clouds(40, 40, 5) // 8
        source.append(scene)
    _, stabilized = both(source, sigma=0, way=way)
    wrong = np.abs(stabilized[-1].astype(int) - (255 - source[-1].astype(int))).max(2) > 40
    assert wrong.mean() < 0.005


def test_a_real_film_of_an_odd_size_flickers_less(store) -> None:
    """Larger than the pictures in which motion is looked for, and no multiple of them."""
    source = [frame[:471, :811].copy() for frame in itertools.islice(frames(store / "video/bunny_720p.mp4"), 40, 46)]
    alone, stabilized = both(source)
    before, after = measure(source, alone), measure(source, stabilized)
    assert stabilized[0].shape == (471, 811, 3)
    assert after.along_motion < 0.7 * before.along_motion


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (12, 200), (33, 31), (3000, 10), (1, 2000)], ids=str)
@pytest.mark.parametrize("way", ["hold", "flow"])
def test_tiny_and_narrow_films(size, way) -> None:
    """OpenCV's search crashes on pictures lower than 16 pixels."""
    source = [clouds(*size)] * 3
    _, stabilized = both(source, sigma=0, way=way)
    assert all(np.array_equal(frame, 255 - source[0]) for frame in stabilized)


def test_only_the_frame_before_is_remembered() -> None:
    blend = Blend()
    for frame in pan():
        blend(frame, frame)
    kept = [value.nbytes for value in vars(blend).values() if isinstance(value, np.ndarray)]
    assert sum(kept) <= 5 * HEIGHT * WIDTH * 3


def flat(luma: float, blue: float = 128) -> Planes:
    planes = [np.full((16 // of, 32 // of), value, np.uint8) for value, of in ((luma, 1), (blue, 2), (128, 2))]
    return Planes(*planes, Matrix(0.299, 0.114, True))


def test_paint_is_kept_until_its_source_has_changed_in_light_or_in_color_alone() -> None:
    hold, first = Hold(), flat(50)
    assert hold(flat(100), first) is first
    assert np.array_equal(hold(flat(102), flat(60)).luma, first.luma)  # a fiftieth of 10 levels is none
    assert np.array_equal(hold(flat(100), flat(99)).luma, first.luma + 1)  # of 49 it is one: wrong paint goes in time
    for source, new in ((flat(100, blue=150), flat(200, blue=7)), (flat(140, blue=150), flat(10))):
        assert all(map(np.array_equal, hold(source, new)[:3], new[:3]))


def test_slow_light_adds_up_until_it_is_painted() -> None:
    hold = Hold()
    behind = [abs(light - float(hold(flat(light), flat(light)).luma.mean())) for light in range(60, 120)]
    assert 1 < max(behind) < 8


def test_paint_made_in_another_way_or_size_is_not_kept() -> None:
    hold, first, second = Hold(), flat(50), flat(70)
    assert hold(flat(100), first, "gogh") is first
    assert hold(flat(100), second, "hokusai") is second
    photo = np.zeros((9, 7, 3), np.uint8)
    assert hold(photo, photo, "hokusai") is photo


def test_planes_go_on_to_a_stylizer_that_takes_them_unless_motion_is_looked_for(tmp_path) -> None:
    source = film(tmp_path / "a.mp4", pan()[:3])
    seen = []

    class Spy(Identity):
        def takes_planes(self, height: int, width: int) -> bool:
            return (height, width) == (HEIGHT, WIDTH)

        def stream(self, frames, count=None):
            for frame in frames:
                seen.append(type(frame))
                yield frame

    for way, kind in (("hold", Planes), ("none", Planes), ("flow", np.ndarray)):
        paint_video(str(source), tmp_path / f"{way}.mp4", Spy(), stabilize=way)
        assert seen == [kind] * 3
        seen.clear()


def test_infer_stabilizes_a_film_and_nothing_else(tmp_path, monkeypatch) -> None:
    rng = np.random.default_rng(0)
    noisy = [(frame + rng.normal(0, 12, frame.shape)).clip(0, 255).astype(np.uint8) for frame in [pan()[0]] * 8]
    source = film(tmp_path / "noisy.mp4", noisy, options={"crf": "4"})
    monkeypatch.chdir(tmp_path)
    common = ["style=gogh", "backend=openvino", "precision=f32"]
    for more in ([], ["stabilize=none"], ["stabilize=flow"]):
        paint(compose([f"source={source}", *common, f"output={(more or ['hold'])[0][-4:]}.mp4", "quality=95", *more]))
    films = [pixels(tmp_path / f"{way}.mp4") for way in ("none", "hold", "flow")]
    changes = [np.mean([apart(*pair) for pair in itertools.pairwise(film[2:])]) for film in films]
    assert max(changes[1:]) < 0.4 * changes[0]
    cv2.imwrite("photo.png", noisy[0])
    for setting in ("source=photo.png", "source=webcam", f"source={source}\0output=page"):
        with pytest.raises(UserError, match="for films that are written to a file"):
            paint(compose([*setting.split("\0"), "stabilize=flow"]))
    with pytest.raises(UserError, match=r"stabilize is .warp.; choose from flow, hold, none"):
        paint(compose([f"source={source}", "stabilize=warp"]))


def test_a_still_film_painted_by_a_real_style_is_one_picture(store) -> None:
    """A photo shown for seconds: the network gives the same at every frame, though frames are in flight."""
    from fst import images
    from fst.stylize import Stylizer

    photo = images.read(next((store / "content").glob("*.jpg")))[:200, :300]
    stylizer = Stylizer.load("gogh", backend="openvino", precision="f32")
    shown = list(stylizer.stream([photo] * 7))
    assert all(np.array_equal(frame, shown[0]) for frame in shown)
