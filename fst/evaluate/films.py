"""How steady painted films are, style by style: python -m fst.evaluate.films [STYLE...] [--film FILE...]

Paints the beginning of each film in each style and measures it by `fst.evaluate.flicker`: frame by frame, and by each
`stabilize=`. Needs memory for all frames of one film and their motion: 1 GB at 1280×720.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fst import store, stylefile
from fst.errors import UserError, one_line_errors
from fst.evaluate import report
from fst.evaluate.flicker import LONG, Flicker, Step, compare, frames, steps
from fst.media.video.stabilize import WAYS, steadier
from fst.stylize import Stylizer
from fst.tracking.metadata import run_metadata

FILMS = ("chaplin.mp4", "carphone_pristine.mp4", "bunny_720p.mp4")  # in the store's video/
BEGIN = "<!-- written by python -m fst.evaluate.films -->"
GOALS = {"along_motion": ("along the motion", 5.0), "still": ("where nothing moves", 1.0)}  # levels of 255
SOURCE = "the source"
ORDER = ("none", *(way for way in WAYS if way != "none"))  # in tables

Rows = dict[tuple[str, str], dict[str, Flicker]]  # by (style, way) and film


def judge(
    film: list[np.ndarray], motion: list[Step], stylizer: Stylizer
) -> tuple[dict[str, Flicker], dict[str, float]]:
    """Paint a film, uint8 (H, W, 3) RGB frames, once; by way, its flicker and the median seconds that a frame took.

    The seconds of "none" are those of painting; those of the others come on top of them.
    """
    stylizer(film[0])  # compiles
    begun = time.perf_counter()
    painted = list(stylizer.stream(film))
    seconds = {"none": (time.perf_counter() - begun) / len(film)}
    flicker = {"none": compare(motion, painted)}
    for way in ORDER[1:]:
        shown, pictures, took = steadier(way), [], []
        for source, picture in zip(film, painted, strict=True):
            begun = time.perf_counter()
            pictures.append(shown(source, picture))
            took.append(time.perf_counter() - begun)
        flicker[way], seconds[way] = compare(motion, pictures), float(np.median(took))
    return flicker, seconds


def measured(
    films: dict[str, list[np.ndarray]], stylizers: dict[str, Stylizer]
) -> tuple[Rows, dict[str, list[dict[str, float]]]]:
    """Flicker by (style, way) and film; what each film's frames took by way, a style each."""
    rows: Rows = {(SOURCE, ""): {}}
    prices: dict[str, list[dict[str, float]]] = {name: [] for name in films}
    for name, film in films.items():
        motion = list(steps(film))
        rows[SOURCE, ""][name] = compare(motion, film)
        for style, stylizer in stylizers.items():
            flicker, seconds = judge(film, motion, stylizer)
            prices[name].append(seconds)
            for way, found in flicker.items():
                rows.setdefault((style, way), {})[name] = found
    return rows, prices


def table(rows: Rows) -> str:
    """Three figures a cell: along the motion / where nothing moves / against LONG frames before."""
    names = list(rows[SOURCE, ""])
    lines = [f"| | stabilize= | {' | '.join(names)} |", f"|---|---|{'---:|' * len(names)}"]
    for (style, way), found in rows.items():
        lines.append(f"| {style} | {way} | {' | '.join(' / '.join(found[name].cells()) for name in names)} |")
    return "\n".join(lines)


def verdict(rows: Rows) -> str:
    """The least steady style of each film, against what is wanted: one line per figure and way."""
    lines = []
    for way, (figure, (label, most)) in itertools.product(ORDER, GOALS.items()):
        of_way = {style: found for (style, its), found in rows.items() if its == way}
        worst = {
            film: max((getattr(found[film], figure) or 0.0, style) for style, found in of_way.items())
            for film in rows[SOURCE, ""]
        }
        said = ", ".join(f"{value:.1f} ({style}, {film})" for film, (value, style) in worst.items())
        met = "met" if all(value <= most for value, _ in worst.values()) else "missed"
        lines.append(f"- stabilize={way}, {label}, at most {most:g}: {said}: **{met}**")
    return "\n".join(lines)


def price_table(films: dict[str, list[np.ndarray]], prices: dict[str, list[dict[str, float]]]) -> str:
    """Milliseconds a frame, the median of the styles: of painting, and what each way adds."""
    heads = ["film", "size", "painting, ms", *(f"stabilize={way}, ms more" for way in ORDER[1:])]
    rows = {}
    for name, film in films.items():
        medians = (f"{1000 * np.median([took[way] for took in prices[name]]):.0f}" for way in ORDER)
        rows[name] = [f"{film[0].shape[1]}×{film[0].shape[0]}", *medians]
    return report.markdown(heads, rows)


def small_print(count: int, precision: str) -> str:
    """Of what, when and where."""
    facts = run_metadata()
    machine = {"cpu": facts["cpu"]["model"], "threads": facts["threads"]}
    return (
        f"*Along the motion / where nothing moves / against {LONG} frames before, in levels of 255, over the first "
        f"{count} frames; precision={precision}. {report.where(facts['started'][:10], facts['git'], machine)}.*"
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
    paths = given.film or [store.home() / "video" / name for name in FILMS]
    films = {path.name: list(itertools.islice(frames(path), given.frames)) for path in paths}
    named = {Path(style).name: style for style in given.styles} or stylefile.bundled()
    stylizers = {name: Stylizer.load(style, precision=given.precision) for name, style in named.items()}
    rows, prices = measured(films, stylizers)
    parts = (table(rows), verdict(rows), price_table(films, prices), small_print(given.frames, given.precision))
    text = "\n\n".join(parts)
    print(text)
    if given.into:
        report.renew(given.into, BEGIN, text)


if __name__ == "__main__":
    with one_line_errors():
        main()
