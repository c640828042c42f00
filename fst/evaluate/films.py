"""How steady painted films are, style by style: python -m fst.evaluate.films [STYLE...] [--film FILE...]

Paints the beginning of each film in each style and measures it by `fst.evaluate.flicker`: frame by frame, and by each
`stabilize=`. Needs memory for all frames of one film and their motion: 1 GB at 1280×720.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fst import store, stylefile
from fst.errors import UserError, one_line_errors
from fst.evaluate import report
from fst.evaluate.flicker import LONG, Flicker, Step, compare, frames, steps
from fst.media.video.stabilize import WAYS, steadier
from fst.stylize import Stylizer

FILMS = ("chaplin.mp4", "carphone_pristine.mp4", "bunny_720p.mp4")  # in the store's video/
BEGIN = "<!-- written by python -m fst.evaluate.films -->"
ORDER = ("none", *(way for way in WAYS if way != "none"))  # in tables


class Found(NamedTuple):
    """What a way to paint a film makes of it, and costs."""

    flicker: Flicker
    seconds: float  # a frame: of painting, for "none"; the others' come on top of these


def judge(film: list[np.ndarray], motion: list[Step], stylizer: Stylizer) -> dict[str, Found]:
    """Paint a film, uint8 (H, W, 3) RGB frames, once; what is found by way of `stabilize=`."""
    stylizer(film[0])  # compiles
    begun = time.perf_counter()
    painted = list(stylizer.stream(film))
    seconds = (time.perf_counter() - begun) / len(film)
    found = {"none": Found(compare(motion, painted), seconds)}
    for way in ORDER[1:]:
        shown, begun = steadier(way), time.perf_counter()
        pictures = [shown(source, picture) for source, picture in zip(film, painted, strict=True)]
        seconds = (time.perf_counter() - begun) / len(film)
        found[way] = Found(compare(motion, pictures), seconds)
    return found


def table(sources: dict[str, Flicker], rows: dict[tuple[str, str], dict[str, Found]]) -> str:
    """Three figures a cell: along the motion / where nothing moves / against LONG frames before."""
    cells = {"the source": [" / ".join(found.cells()) for found in sources.values()]}
    for (style, way), of_films in rows.items():
        cells[f"{style}, {way}"] = [" / ".join(of_films[film].flicker.cells()) for film in sources]
    return report.markdown(["style, stabilize=", *sources], cells)


def prices(films: dict[str, list[np.ndarray]], rows: dict[tuple[str, str], dict[str, Found]]) -> str:
    """Milliseconds a frame, the median of the styles: of painting, and what each way adds."""
    heads = ["film", "size", "painting, ms", *(f"stabilize={way}, ms more" for way in ORDER[1:])]
    cells = {}
    for film, (first, *_) in films.items():
        seconds = [[found[film].seconds for (_, its), found in rows.items() if its == way] for way in ORDER]
        cells[film] = [f"{first.shape[1]}×{first.shape[0]}", *(f"{1000 * statistics.median(s):.0f}" for s in seconds)]
    return report.markdown(heads, cells)


def small_print(count: int, precision: str) -> str:
    """Of what, when and where."""
    return (
        f"*Along the motion / where nothing moves / against {LONG} frames before, in levels of 255, over the first "
        f"{count} frames; precision={precision}. {report.where(report.circumstances())}.*"
    )


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line; a style or a film that cannot be read is a UserError."""
    parser = argparse.ArgumentParser(prog="python -m fst.evaluate.films", description=__doc__.partition("\n")[0])
    parser.add_argument("styles", nargs="*", help="styles (all bundled ones)")
    parser.add_argument("--film", type=Path, action="append", help=f"films (video/ of the store: {', '.join(FILMS)})")
    parser.add_argument("--frames", type=int, default=32, help="of each film's beginning (32)")
    parser.add_argument("--precision", default="f32", help="of painting (f32)")
    parser.add_argument("--into", type=Path, help="a README.md whose table is renewed")
    given = parser.parse_args(words)
    if given.frames < 2:
        raise UserError(f"--frames {given.frames}: two at least are compared")
    paths = {str(path): path for path in given.film or []} or {name: store.home() / "video" / name for name in FILMS}
    films = {name: list(itertools.islice(frames(path), given.frames)) for name, path in paths.items()}
    named = {style: style for style in given.styles} or stylefile.bundled()
    stylizers = {name: Stylizer.load(style, precision=given.precision) for name, style in named.items()}
    rows: dict[tuple[str, str], dict[str, Found]] = {(style, way): {} for style in stylizers for way in ORDER}
    sources = {}
    for film, pixels in films.items():
        motion = list(steps(pixels))
        sources[film] = compare(motion, pixels)
        for style, stylizer in stylizers.items():
            for way, found in judge(pixels, motion, stylizer).items():
                rows[style, way][film] = found
    text = "\n\n".join([table(sources, rows), prices(films, rows), small_print(given.frames, given.precision)])
    print(text)
    if given.into:
        report.renew(given.into, BEGIN, text)


if __name__ == "__main__":
    with one_line_errors():
        main()
