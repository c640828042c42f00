"""How much a painted film flickers: python -m fst.evaluate.flicker SOURCE PAINTED...

A frame is compared with the frame before it, warped onto it along the source's own motion (Ruder, Dosovitskiy, Brox
2016, "Artistic style transfer for videos", measure consistency in this way). The unit is a level of 255, the mean over
colours. The first row is the source itself: a film of it can hardly be steadier.
"""

import argparse
import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fst.errors import UserError, one_line_errors
from fst.evaluate.report import markdown
from fst.media.video.decode import VideoReader
from fst.media.video.motion import Flow, Motion, apart, warped

LONG = 10  # frames: of the long-range figure
STILL_PIXELS = 0.5  # of motion, at most, where nothing moves
STILL_LEVELS = 3.0  # of the source's change, at most, where nothing moves
SAME_LEVELS = 16.0  # by which the source may differ along its motion: above it, something else is seen there
LEAST = 0.01  # of a frame has to be comparable, or it has no figure: a cut has none


class Flicker(NamedTuple):
    """Mean absolute differences in levels of 255; None: no two frames could be compared."""

    along_motion: float | None  # of a frame and the one before it, along the motion, where both show the same
    still: float | None  # of a frame and the one before it, as they are, where nothing moves
    long_range: float | None  # as `along_motion`, of a frame and the one LONG before it

    def cells(self) -> list[str]:
        """The three figures for a table."""
        return ["–" if value is None else f"{value:.1f}" for value in self]


class Pair(NamedTuple):
    """A frame and an earlier one."""

    back: int  # so many frames
    places: np.ndarray | None  # where its pixels were, (H, W, 2); None: where they are
    same: np.ndarray  # bool (H, W): which are compared


class Step(NamedTuple):
    """What a frame of a film is compared with: a pair by figure of `Flicker`; fewer at the film's beginning."""

    size: tuple[int, int]  # height and width
    pairs: dict[str, Pair]


def steps(source: Iterable[np.ndarray]) -> Iterator[Step]:
    """A source's motion, frame by frame, from uint8 (H, W, 3) RGB; for several films painted from it, made once."""
    flow = Flow()
    shown: deque[np.ndarray] = deque(maxlen=LONG)  # the frames before
    moved: deque[Motion] = deque(maxlen=LONG)
    for now in source:
        pairs = {}
        if shown:
            motion = flow.between(now, shown[-1])
            moved.append(motion)
            still = (motion.length < STILL_PIXELS) & (apart(now, shown[-1]) < STILL_LEVELS)
            pairs["along_motion"] = Pair(1, motion.places, motion.seen & _alike(now, shown[-1], motion.places))
            pairs["still"] = Pair(1, None, still)
        if len(moved) == LONG:
            places, seen = _chained(moved)
            pairs["long_range"] = Pair(LONG, places, seen & _alike(now, shown[0], places))
        shown.append(now)
        yield Step(now.shape[:2], pairs)


def measure(source: Iterable[np.ndarray], painted: Iterable[np.ndarray]) -> Flicker:
    """Measure a painted film against its source, uint8 (H, W, 3) RGB frames, at least two, as many and as large."""
    return compare(steps(source), painted)


def compare(source: Iterable[Step], painted: Iterable[np.ndarray]) -> Flicker:
    """As `measure`, by the `steps` of the source."""
    before: deque[np.ndarray] = deque(maxlen=LONG)
    found: dict[str, list[float]] = {figure: [] for figure in Flicker._fields}
    for step, picture in itertools.zip_longest(source, painted):
        if step is None or picture is None:
            raise UserError("the painted film has not as many frames as its source: compare whole films")
        if step.size != picture.shape[:2]:
            sizes = [f"{width}×{height}" for height, width in (picture.shape[:2], step.size)]
            raise UserError(f"the painted film is {sizes[0]}, its source {sizes[1]}: paint it at the source's size")
        for figure, pair in step.pairs.items():
            earlier = before[-pair.back]
            if pair.places is not None:
                earlier = warped(earlier, pair.places)
            if pair.same.mean() >= LEAST:
                found[figure].append(float(apart(picture, earlier)[pair.same].mean()))
        before.append(picture)
    return Flicker(*(float(np.mean(values)) if values else None for values in found.values()))


def _alike(now: np.ndarray, before: np.ndarray, places: np.ndarray) -> np.ndarray:
    return apart(now, warped(before, places)) < SAME_LEVELS


def _chained(motions: Sequence[Motion]) -> tuple[np.ndarray, np.ndarray]:
    """Places and what was seen, from the last frame to before the first motion: a flow over ten at once gets lost."""
    *earlier, last = motions
    places, seen = last.places, last.seen
    for motion in reversed(earlier):
        seen = seen & (warped(motion.seen, places) > 0.99)
        places = warped(motion.places, places)
    return places, seen


def frames(film: Path) -> Iterator[np.ndarray]:
    """A film's frames, uint8 (H, W, 3) RGB; one that cannot be read is a UserError."""
    return (frame.pixels for frame in VideoReader(str(film)))


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line; what cannot be had or read is a UserError."""
    parser = argparse.ArgumentParser(prog="python -m fst.evaluate.flicker", description=__doc__.partition("\n")[0])
    parser.add_argument("source", type=Path, help="the film as it was")
    parser.add_argument("painted", type=Path, nargs="+", help="films painted from it, frame by frame")
    given = parser.parse_args(words)
    found = {f"{given.source} (the source)": measure(frames(given.source), frames(given.source))}
    found |= {str(film): measure(frames(given.source), frames(film)) for film in given.painted}
    heads = ["film", "along motion", "where nothing moves", f"against {LONG} frames before"]
    print(markdown(heads, {film: flicker.cells() for film, flicker in found.items()}))


if __name__ == "__main__":
    with one_line_errors():
        main()
