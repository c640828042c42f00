"""How steady painted films are, style by style: python -m fst.evaluate.films [STYLE...] [--film FILE...]

Paints the beginning of each film in each style, alone and with stabilize=flow, and measures it by
`fst.evaluate.flicker`. Needs memory for all frames of one film and their motion: 1 GB at 1280×720.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fst import store, stylefile
from fst.errors import UserError, one_line_errors
from fst.evaluate import report
from fst.evaluate.flicker import LONG, Flicker, Step, compare, frames, steps
from fst.media.video.stabilize import Blend
from fst.stylize import Stylizer
from fst.tracking.metadata import run_metadata

FILMS = ("chaplin.mp4", "carphone_pristine.mp4", "bunny_720p.mp4")  # in the store's video/
BEGIN = "<!-- written by python -m fst.evaluate.films -->"
GOALS = {"along_motion": ("along the motion", 5.0), "still": ("where nothing moves", 1.0)}  # levels of 255
SOURCE, STABILIZED = "the source", ", stabilize=flow"


class Seconds(NamedTuple):
    """What a frame took, in the median."""

    painting: float
    stabilizing: float


def judge(film: list[np.ndarray], motion: list[Step], stylizer: Stylizer) -> tuple[Flicker, Flicker, Seconds]:
    """Paint a film, uint8 (H, W, 3) RGB frames; its flicker, that with stabilize=flow, and the time that each took."""
    stylizer(film[0])  # compiles
    begun = time.perf_counter()
    painted = list(stylizer.stream(film))
    painting = (time.perf_counter() - begun) / len(film)
    blend, stabilized, took = Blend(), [], []
    for source, picture in zip(film, painted, strict=True):
        begun = time.perf_counter()
        stabilized.append(blend(source, picture))
        took.append(time.perf_counter() - begun)
    return compare(motion, painted), compare(motion, stabilized), Seconds(painting, float(np.median(took)))


def measured(
    films: dict[str, list[np.ndarray]], stylizers: dict[str, Stylizer]
) -> tuple[dict[str, dict[str, Flicker]], dict[str, list[Seconds]]]:
    """Flicker by style (as "gogh" and "gogh, stabilize=flow") and film; what each film's frames took, a style each."""
    rows: dict[str, dict[str, Flicker]] = {SOURCE: {}}
    prices: dict[str, list[Seconds]] = {}
    for name, film in films.items():
        motion = list(steps(film))
        rows[SOURCE][name] = compare(motion, film)
        for style, stylizer in stylizers.items():
            alone, stabilized, price = judge(film, motion, stylizer)
            rows.setdefault(style, {})[name] = alone
            rows.setdefault(style + STABILIZED, {})[name] = stabilized
            prices.setdefault(name, []).append(price)
    return rows, prices


def table(rows: dict[str, dict[str, Flicker]]) -> str:
    """Three figures a cell: along the motion / where nothing moves / against LONG frames before."""
    names = list(rows[SOURCE])
    lines = [f"| | {' | '.join(names)} |", f"|---|{'---:|' * len(names)}"]
    for style, found in rows.items():
        lines.append(f"| {style} | {' | '.join(_cell(found[name]) for name in names)} |")
    return "\n".join(lines)


def _cell(found: Flicker) -> str:
    figures = (found.along_motion, found.still, found.long_range)
    return " / ".join("–" if value is None else f"{value:.1f}" for value in figures)


def verdict(rows: dict[str, dict[str, Flicker]]) -> str:
    """The least steady style of each film, against what is wanted: a line a figure, without stabilize=flow and with."""
    styles = [name for name in rows if name != SOURCE]
    ways = {
        "frame by frame": [name for name in styles if not name.endswith(STABILIZED)],
        "with stabilize=flow": [name for name in styles if name.endswith(STABILIZED)],
    }
    return "\n".join(
        f"- {way}, {label}, at most {most:g}: {_worst(rows, names, figure, most)}"
        for way, names in ways.items()
        for figure, (label, most) in GOALS.items()
    )


def _worst(rows: dict[str, dict[str, Flicker]], names: list[str], figure: str, most: float) -> str:
    said, missed = [], False
    for film in rows[SOURCE]:
        value, name = max((getattr(rows[name][film], figure) or 0.0, name) for name in names)
        missed |= value > most
        said.append(f"{value:.1f} ({name.removesuffix(STABILIZED)}, {film})")
    return f"{', '.join(said)}: {'**missed**' if missed else '**met**'}"


def price_table(films: dict[str, list[np.ndarray]], prices: dict[str, list[Seconds]]) -> str:
    """Milliseconds a frame, the median of the styles, and frames a second from both."""
    lines = ["| film | size | painting, ms | stabilize=flow, ms | frames a second | with stabilize=flow |"]
    lines.append("|---|---:|---:|---:|---:|---:|")
    for name, film in films.items():
        painting, stabilizing = (float(np.median(times)) for times in zip(*prices[name], strict=True))
        size = f"{film[0].shape[1]}×{film[0].shape[0]}"
        rates = f"{1 / painting:.1f} | {1 / (painting + stabilizing):.1f}"
        lines.append(f"| {name} | {size} | {1000 * painting:.0f} | {1000 * stabilizing:.0f} | {rates} |")
    return "\n".join(lines)


def small_print(count: int, precision: str) -> str:
    """Of what, when and where."""
    facts = run_metadata()
    git, threads = facts["git"], facts["threads"]
    commit = f", commit {git['commit'][:8]}{' with changes' if git['dirty'] else ''}" if git else ""
    return (
        f"*Along the motion / where nothing moves / against {LONG} frames before, in levels of 255, over the first "
        f"{count} frames; precision={precision}. {facts['started'][:10]}{commit}, {facts['cpu']['model']}, "
        f"{threads} thread{'s' if threads > 1 else ''}.*"
    )


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line.

    Raises:
        UserError: a style or a film that cannot be read.
    """
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
