"""Flicker of made films whose motion and noise are known; the command on a real file."""

import numpy as np
import pytest
from clips import film

from fst.errors import UserError
from fst.evaluate import flicker
from fst.evaluate.flicker import measure

HEIGHT, WIDTH, COUNT = 120, 160, 14


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """uint8 (H, W, 3): clouds that a flow can follow."""
    import cv2

    noise = np.random.default_rng(seed).random((height, width, 3)).astype(np.float32)
    clouds = sum(cv2.GaussianBlur(noise, (0, 0), sigma) * sigma for sigma in (2, 4, 8))
    low, high = clouds.min((0, 1)), clouds.max((0, 1))
    return ((clouds - low) / (high - low) * 215 + 20).astype(np.uint8)


@pytest.fixture(scope="module")
def moving() -> list[np.ndarray]:
    """A camera that goes 3 pixels to the right and 2 down a frame."""
    world = texture(HEIGHT + 2 * COUNT, WIDTH + 3 * COUNT)
    return [world[2 * n : 2 * n + HEIGHT, 3 * n : 3 * n + WIDTH] for n in range(COUNT)]


def noisy(frames: list[np.ndarray], sigma: float) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [(frame + rng.normal(0, sigma, frame.shape)).clip(0, 255).astype(np.uint8) for frame in frames]


def test_paint_that_moves_with_the_picture_does_not_flicker(moving) -> None:
    found = measure(moving, [255 - frame[..., ::-1] for frame in moving])
    assert found.along_motion < 0.6 and found.long_range < 1.5
    assert found.still is None  # everything moves


def test_paint_that_stays_where_it_is_flickers_along_the_motion(moving) -> None:
    canvas = texture(HEIGHT, WIDTH, 5)
    found = measure(moving, [canvas] * COUNT)
    expected = np.abs(canvas[2:, 3:].astype(float) - canvas[:-2, :-3]).mean()
    assert found.along_motion == pytest.approx(expected, rel=0.05)


def test_noise_has_its_known_difference_where_nothing_moves() -> None:
    source = [texture(HEIGHT, WIDTH)] * COUNT
    painted = noisy([np.full((HEIGHT, WIDTH, 3), 128, np.uint8)] * COUNT, 8)
    found = measure(source, painted)
    between = 8 * 2 / np.sqrt(np.pi)  # of two draws from one normal distribution
    assert found.still == pytest.approx(between, rel=0.03)
    assert found.along_motion == pytest.approx(between, rel=0.03) and found.long_range == pytest.approx(
        between, rel=0.03
    )


def test_a_repeated_picture_is_exactly_still() -> None:
    source = [texture(HEIGHT, WIDTH)] * COUNT
    assert measure(source, [texture(HEIGHT, WIDTH, 2)] * COUNT) == flicker.Flicker(0, 0, 0)


def test_a_slow_drift_is_seen_at_long_range() -> None:
    source = [texture(HEIGHT, WIDTH)] * COUNT
    found = measure(source, [np.full((HEIGHT, WIDTH, 3), 100 + n, np.uint8) for n in range(COUNT)])
    assert (found.still, found.along_motion, found.long_range) == (1, 1, flicker.LONG)


def test_what_has_changed_slowly_is_compared_with_the_frame_before_alone() -> None:
    source = [texture(HEIGHT, WIDTH) // 2 + 4 * n for n in range(COUNT)]  # by 40 levels in ten frames: another scene
    found = measure(source, [np.full((HEIGHT, WIDTH, 3), 100 + n, np.uint8) for n in range(COUNT)])
    assert found.along_motion == 1 and found.long_range is None


def test_what_a_moving_thing_uncovers_and_a_cut_are_left_out() -> None:
    """Repainted wherever the square goes or was, and never elsewhere; then a cut to another scene."""
    source, painted = [], []
    for number in range(COUNT):
        scene, paint = texture(HEIGHT, WIDTH).copy(), np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        left = 20 + 6 * number
        scene[40:70, left : left + 30] = texture(30, 30, 9)
        paint[40:70, left : left + 30] = 200
        paint[40:70, :left] = 90 + 5 * number % 60  # where it was, another grey each time
        source.append(scene)
        painted.append(paint)
    found = measure(source, painted)
    assert found.still < 3 and found.along_motion < 4
    cut = measure([*source[:3], 255 - source[3]], [*painted[:3], 255 - painted[3]])
    assert cut.along_motion < 20


def test_films_that_do_not_belong_together_are_refused(moving) -> None:
    with pytest.raises(UserError, match="not as many frames"):
        measure(moving, moving[:-1])
    with pytest.raises(UserError, match="160×100, its source 160×120"):
        measure(moving, [frame[:100] for frame in moving])
    with pytest.raises(UserError, match="160×100, its source 160×120"):
        measure(moving, [moving[0][:100], *moving[1:]])


def test_the_command_tells_the_source_and_each_film(moving, tmp_path, capsys) -> None:
    source = film(tmp_path / "source.mp4", moving)
    (tmp_path / "other").mkdir()
    bad, good = (tmp_path / folder / "painted.mp4" for folder in (".", "other"))  # called alike
    film(bad, noisy(moving, 20)), film(good, moving)
    flicker.main([str(source), str(bad), str(good)])
    lines = [line.split(" | ") for line in capsys.readouterr().out.splitlines()]
    figures = {line[0].removeprefix("| "): line[1:] for line in lines}
    assert float(figures[f"{source} (the source)"][0]) < 2 < 8 < float(figures[str(bad)][0])
    assert float(figures[str(good)][0]) < 2
