"""How much a painted film flickers: python -m fst.evaluate.flicker SOURCE PAINTED... [--curve FILE.png]

A frame is compared with the frame before it, warped onto it along the source's own motion (Ruder, Dosovitskiy, Brox
2016, "Artistic style transfer for videos", measure consistency in this way). The unit is a level of 255, the mean over
colours. The first row is the source itself: a film of it can hardly be steadier.
"""

import argparse
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fst.errors import UserError, one_line_errors
from fst.evaluate.figures import plot
from fst.evaluate.report import markdown
from fst.media.video.decode import VideoReader
from fst.media.video.motion import Flow, Motion, apart, warped

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

    def cells(self) -> list[str]:
        """The three figures for a table."""
        figures = (self.along_motion, self.still, self.long_range)
        return ["–" if value is None else f"{value:.1f}" for value in figures]


class Pair(NamedTuple):
    """A frame and an earlier one: where its pixels were, (H, W, 2), and which show the same thing, bool (H, W)."""

    places: np.ndarray
    same: np.ndarray


class Step(NamedTuple):
    """What a film's frame is compared with.

    Attributes:
        size: height and width.
        short: it and the frame before; None for the first.
        still: bool (H, W), where nothing moves; None for the first.
        long: it and the frame LONG before; None for the first LONG.
    """

    size: tuple[int, int]
    short: Pair | None
    still: np.ndarray | None
    long: Pair | None


def steps(source: Iterable[np.ndarray]) -> Iterator[Step]:
    """A source's motion, frame by frame, from uint8 (H, W, 3) RGB; for several films painted from it, made once."""
    flow = Flow()
    shown: deque[np.ndarray] = deque(maxlen=LONG)  # the frames before
    moved: deque[Motion] = deque(maxlen=LONG)
    for now in source:
        short = still = long = None
        if shown:
            motion = flow.between(now, shown[-1])
            moved.append(motion)
            short = _pair(motion.places, motion.seen, now, shown[-1])
            still = (motion.length < STILL_PIXELS) & (apart(now, shown[-1]) < STILL_LEVELS)
        if len(moved) == LONG:
            long = _pair(*_chained(moved), now, shown[0])
        shown.append(now)
        yield Step(now.shape[:2], short, still, long)


def measure(source: Iterable[np.ndarray], painted: Iterable[np.ndarray]) -> Flicker:
    """Measure a painted film against its source: as many frames each, uint8 (H, W, 3) RGB, at least two.

    Raises:
        UserError: films of different size or length.
    """
    return compare(steps(source), painted)


def compare(source: Iterable[Step], painted: Iterable[np.ndarray]) -> Flicker:
    """As `measure`, by the `steps` of the source."""
    before: deque[np.ndarray] = deque(maxlen=LONG)
    short: list[float | None] = []
    still: list[float | None] = []
    long: list[float | None] = []
    for step, picture in _together(source, painted):
        if step.short:
            short.append(_along(step.short, picture, before[-1]))
            still.append(_difference(picture, before[-1], step.still))
        if step.long:
            long.append(_along(step.long, picture, before[0]))
        before.append(picture)
    return Flicker(_mean(short), _mean(still), _mean(long), short)


def _together(source: Iterable[Step], painted: Iterable[np.ndarray]) -> Iterator[tuple[Step, np.ndarray]]:
    frames = zip(source, painted, strict=True)
    while True:
        try:
            step, picture = next(frames)
        except StopIteration:
            return
        except ValueError:
            raise UserError("the painted film has not as many frames as its source: compare whole films") from None
        if step.size != picture.shape[:2]:
            sizes = [f"{width}×{height}" for height, width in (picture.shape[:2], step.size)]
            raise UserError(f"the painted film is {sizes[0]}, its source {sizes[1]}: paint it at the source's size")
        yield step, picture


def _pair(places: np.ndarray, seen: np.ndarray, now: np.ndarray, before: np.ndarray) -> Pair:
    return Pair(places, seen & (apart(now, warped(before, places)) < SAME_LEVELS))


def _chained(motions: Sequence[Motion]) -> tuple[np.ndarray, np.ndarray]:
    """Places and what was seen, from the last frame to before the first motion: a flow over ten at once gets lost."""
    *earlier, last = motions
    places, seen = last.places, last.seen
    for motion in reversed(earlier):
        seen = seen & (warped(motion.seen, places) > 0.99)
        places = warped(motion.places, places)
    return places, seen


def _along(pair: Pair, picture: np.ndarray, before: np.ndarray) -> float | None:
    return _difference(picture, warped(before, pair.places), pair.same)


def _difference(one: np.ndarray, other: np.ndarray, where: np.ndarray) -> float | None:
    return float(apart(one, other)[where].mean()) if where.mean() >= LEAST else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def table(rows: dict[str, Flicker]) -> str:
    """The figures as Markdown, one row per film."""
    heads = ["film", "along motion", "where nothing moves", f"against {LONG} frames before"]
    return markdown(heads, {name: found.cells() for name, found in rows.items()})


def draw(rows: dict[str, Flicker], path: Path) -> None:
    """The curves over time, one line per film."""
    with plot(path) as [[axis]]:
        for name, found in rows.items():
            axis.plot(range(1, len(found.curve) + 1), [np.nan if v is None else v for v in found.curve], label=name)
        axis.set(xlabel="frame", ylabel="levels of 255 along motion", ylim=(0, None))
        axis.legend(frameon=False)


def frames(film: Path) -> Iterator[np.ndarray]:
    """A film's frames, uint8 (H, W, 3) RGB.

    Raises:
        UserError: it cannot be read.
    """
    return (frame.pixels for frame in VideoReader(str(film)))


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line; what cannot be had or read is a UserError."""
    parser = argparse.ArgumentParser(prog="python -m fst.evaluate.flicker", description=__doc__.partition("\n")[0])
    parser.add_argument("source", type=Path, help="the film as it was")
    parser.add_argument("painted", type=Path, nargs="+", help="films painted from it, frame by frame")
    parser.add_argument("--curve", type=Path, help="a picture of the flicker over time")
    given = parser.parse_args(words)
    rows = {f"{given.source.name} (the source)": measure(frames(given.source), frames(given.source))}
    for film in given.painted:
        rows[film.name] = measure(frames(given.source), frames(film))
    print(table(rows))
    if given.curve:
        draw(rows, given.curve)
        print(f"curve  {given.curve}")


if __name__ == "__main__":
    with one_line_errors():
        main()
