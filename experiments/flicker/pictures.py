"""Neighbouring frames and a short clip, painted frame by frame and with paint that stays: python
experiments/flicker/pictures.py [--film FILE] [--frames N]

Writes neighbours.jpg (one column per bundled style: for each way two frames in a row, and how they differ,
eight times enlarged) and clip.webp (the film, painted one by one, and with stabilize=hold; one style) beside itself.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from fst import images, store, stylefile
from fst.errors import one_line_errors
from fst.evaluate import figures
from fst.evaluate.flicker import frames
from fst.files import replacing
from fst.media.video.stabilize import Hold
from fst.stylize import Stylizer

HERE = Path(__file__).parent
WORK, SHOWN, CLIP = 640, 230, 300  # pixels of width: as painted, in neighbours.jpg, in clip.webp
GAIN = 8
STYLE = "hokusai"  # of the clip


def ways(film: list[np.ndarray], style: str | Path) -> dict[str, list[np.ndarray]]:
    """A film, uint8 (H, W, 3) frames, painted in a style."""
    alone, hold = list(Stylizer.load(style).stream(film)), Hold()
    return {"one by one": alone, "held": [hold(*pair) for pair in zip(film, alone, strict=True)]}


def neighbours(pictures: dict[str, list[np.ndarray]]) -> list[np.ndarray]:
    """Of each way the last two frames and their difference, a part of them enlarged."""
    cells = []
    for film in pictures.values():
        before, last = film[-2:]
        apart = np.minimum(GAIN * cv2.absdiff(before, last).astype(int), 255).astype(np.uint8)
        cells += [images.square(picture, SHOWN, 300) for picture in (before, last, apart)]
    return cells


def write_clip(path: Path, films: list[list[np.ndarray]], rate: float) -> None:
    """Films of the same length side by side, as an animated WebP."""
    rows = [np.concatenate(row, axis=1) for row in zip(*films, strict=True)]
    height = round(rows[0].shape[0] * len(films) * CLIP / rows[0].shape[1])
    first, *rest = [Image.fromarray(images.resize(row, (height, len(films) * CLIP))) for row in rows]
    with replacing(path) as beside:
        first.save(
            beside, "WEBP", save_all=True, append_images=rest, duration=round(1000 / rate), loop=0, quality=60, method=4
        )


def main() -> None:
    """Run the command line.

    Raises:
        UserError: a film that cannot be read.
    """
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--film", type=Path, default=store.home() / "video" / "bunny_720p.mp4")
    parser.add_argument("--frames", type=int, default=30)
    given = parser.parse_args()
    film = list(itertools.islice(frames(given.film), given.frames))
    height = round(film[0].shape[0] * WORK / film[0].shape[1])
    film = [images.resize(frame, (height, WORK)) for frame in film]
    columns = [figures.column("the film", given.film.name, neighbours({"one by one": film, "held": film}))]
    for style, path in stylefile.bundled().items():
        painted = ways(film, path)
        columns.append(figures.column(style, "one by one; then held", neighbours(painted)))
        if style == STYLE:
            write_clip(HERE / "clip.webp", [film, *painted.values()], rate=24)
    print(figures.write_jpeg(HERE / "neighbours.jpg", figures.bands(columns, most=len(columns))))


if __name__ == "__main__":
    with one_line_errors():
        main()
