"""How much a painted film flickers: python -m fst.evaluate.flicker SOURCE PAINTED... [--curve FILE.png]

A frame is compared with the frame before it, warped onto it along the source's own motion (Ruder, Dosovitskiy, Brox
2016, "Artistic style transfer for videos", measure consistency in this way). The unit is a level of 255, the mean over
colours. The first row is the source itself: a film of it can hardly be steadier.
"""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from fst.errors import UserError, one_line_errors

LONG = 10  # frames: of the long-range figure
STILL_PIXELS = 0.5  # of motion, at most, where nothing moves
STILL_LEVELS = 3.0  # of the source's change, at most, where nothing moves
SAME_LEVELS = 16.0  # by which the source may differ along its motion: above it, something else is seen there
LEAST = 0.01  # of a frame has to be comparable, or it has no figure: a cut has none


@dataclass(frozen=True)
class Flicker:
    """Mean absolute differences in levels of 255; None: no two frames could be compared.

    Attributes:
        along_motion: of a frame and the one before it, along the motion, where both show the same.
        still: of a frame and the one before it, as they are, where nothing moves.
        long_range: as `along_motion`, of a frame and the one ten before it.
        curve: `along_motion` of each frame from the second on.
    """

    along_motion: float | None
    still: float | None
    long_range: float | None
    curve: list[float | None]


@dataclass(frozen=True)
class Motion:
    """From a frame to an earlier one: where its pixels were, and which of them can be compared.

    Attributes:
        places: float32 (H, W, 2), the pixel (x, y) of the earlier frame.
        seen: bool (H, W), what was not hidden there.
        still: bool (H, W), what did not move.
    """

    places: np.ndarray
    seen: np.ndarray
    still: np.ndarray


def measure(source: Iterable[np.ndarray], painted: Iterable[np.ndarray]) -> Flicker:
    """Measure a painted film against its source.

    Args:
        source: frames, uint8 (H, W, 3) RGB, at least two.
        painted: as many frames of the same size.

    Raises:
        UserError: films of different size or length.
    """
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)  # Kroeger et al. 2016
    shown: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=LONG)  # source and painted, the frames before
    moved: deque[Motion] = deque(maxlen=LONG)
    short: list[float | None] = []
    still: list[float | None] = []
    long: list[float | None] = []
    for now, picture in _pairs(source, painted):
        if shown:
            before, painted_before = shown[-1]
            motion = _motion(flow, now, before)
            moved.append(motion)
            short.append(_along(motion, now, picture, before, painted_before))
            unmoved = motion.still & (_apart(now, before) < STILL_LEVELS)
            still.append(_difference(picture, painted_before, unmoved))
        if len(moved) == LONG:
            long.append(_along(_chained(moved), now, picture, *shown[0]))
        shown.append((now, picture))
    return Flicker(_mean(short), _mean(still), _mean(long), short)


def _pairs(source: Iterable[np.ndarray], painted: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    frames = zip(source, painted, strict=True)
    while True:
        try:
            now, picture = next(frames)
        except StopIteration:
            return
        except ValueError:
            raise UserError("the painted film has not as many frames as its source: compare whole films") from None
        if now.shape != picture.shape:
            sizes = [f"{frame.shape[1]}×{frame.shape[0]}" for frame in (picture, now)]
            raise UserError(f"the painted film is {sizes[0]}, its source {sizes[1]}: paint it at the source's size")
        yield now, picture


def _motion(flow: cv2.DISOpticalFlow, now: np.ndarray, before: np.ndarray) -> Motion:
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (now, before)]
    back, forth = flow.calc(grey[0], grey[1], None), flow.calc(grey[1], grey[0], None)
    height, width = grey[0].shape
    places = back + np.dstack(np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)))
    inside = (places >= 0).all(2) & (places <= (width - 1, height - 1)).all(2)
    # A pixel that was hidden before does not come back to where it began; the bound is Sundaram et al.'s (2010).
    returned = _warped(forth, places)
    lengths = np.square(back).sum(2) + np.square(returned).sum(2)
    came_back = np.square(back + returned).sum(2) < 0.01 * lengths + 0.5
    return Motion(places, inside & came_back, np.hypot(back[..., 0], back[..., 1]) < STILL_PIXELS)


def _chained(motions: Sequence[Motion]) -> Motion:
    """From the last frame to the one before the first motion: a flow over ten frames at once would lose its way."""
    *earlier, last = motions
    places, seen = last.places, last.seen
    for motion in reversed(earlier):
        seen = seen & (_warped(motion.seen, places) > 0.99)
        places = _warped(motion.places, places)
    return Motion(places, seen, last.still)


def _along(
    motion: Motion, now: np.ndarray, picture: np.ndarray, before: np.ndarray, painted_before: np.ndarray
) -> float | None:
    """The painted difference where source and motion say that both frames show the same."""
    same = _apart(now, _warped(before, motion.places)) < SAME_LEVELS
    return _difference(picture, _warped(painted_before, motion.places), motion.seen & same)


def _warped(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """What an earlier frame's values (H, W) or (H, W, C) are at places (H, W, 2) of it, float32."""
    return cv2.remap(values.astype(np.float32), places, None, cv2.INTER_LINEAR)


def _apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The mean over colours of the absolute difference, (H, W)."""
    return np.abs(one.astype(np.float32) - other).mean(2)


def _difference(one: np.ndarray, other: np.ndarray, where: np.ndarray) -> float | None:
    return float(_apart(one, other)[where].mean()) if where.mean() >= LEAST else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def table(rows: dict[str, Flicker]) -> str:
    """The figures as Markdown, a row a film."""
    lines = [f"| film | along motion | where nothing moves | against {LONG} frames before |", "|---|---:|---:|---:|"]
    for name, found in rows.items():
        figures = (found.along_motion, found.still, found.long_range)
        lines.append(f"| {name} | {' | '.join('–' if value is None else f'{value:.1f}' for value in figures)} |")
    return "\n".join(lines)


def draw(rows: dict[str, Flicker], path: Path) -> None:
    """The curves over time, a line a film.

    Raises:
        UserError: matplotlib is not installed.
    """
    from fst.evaluate.figures import plot

    with plot(path) as [[axis]]:
        for name, found in rows.items():
            axis.plot(range(1, len(found.curve) + 1), [np.nan if v is None else v for v in found.curve], label=name)
        axis.set(xlabel="frame", ylabel="levels of 255 along motion", ylim=(0, None))
        axis.legend(frameon=False)


def _frames(film: Path) -> Iterator[np.ndarray]:
    from fst.media.video.decode import Frame, VideoReader

    return (item.pixels for item in VideoReader(str(film)) if isinstance(item, Frame))


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line.

    Raises:
        UserError: a film that cannot be read, or does not belong to the source.
    """
    parser = argparse.ArgumentParser(prog="python -m fst.evaluate.flicker", description=__doc__.partition("\n")[0])
    parser.add_argument("source", type=Path, help="the film as it was")
    parser.add_argument("painted", type=Path, nargs="+", help="films painted from it, frame by frame")
    parser.add_argument("--curve", type=Path, help="a picture of the flicker over time")
    given = parser.parse_args(words)
    rows = {f"{given.source.name} (the source)": measure(_frames(given.source), _frames(given.source))}
    for film in given.painted:
        rows[film.name] = measure(_frames(given.source), _frames(film))
    print(table(rows))
    if given.curve:
        draw(rows, given.curve)
        print(f"curve  {given.curve}")


if __name__ == "__main__":
    with one_line_errors():
        main()
