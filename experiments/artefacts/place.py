"""Does a network paint by place? python experiments/artefacts/place.py STYLE... --photos FOLDER

The mean of many painted photos, each in four mirrorings, should be one colour: no place has one of its own. A network
that tells from its padding where its picture ends may learn to keep colours of the painting there, as a brown corner.
Prints the largest difference of 16×16 pixels of the mean picture from its mean colour, in levels of 255, and writes
place.jpg beside itself: those mean pictures, differences enlarged.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import cv2
import numpy as np

from fst import images
from fst.errors import one_line_errors
from fst.evaluate import figures
from fst.stylize import Stylizer

SIDE, BLOCK, GAIN = 224, 16, 4


def mean_picture(photos: list[np.ndarray], stylizer: Stylizer) -> np.ndarray:
    """Of photos uint8 (SIDE, SIDE, 3), each in four mirrorings: the differences of its blocks from its mean colour."""
    total = np.zeros((SIDE, SIDE, 3))
    for photo, rows, columns in itertools.product(photos, (1, -1), (1, -1)):
        total += stylizer(np.ascontiguousarray(photo[::rows, ::columns]))
    mean = cv2.blur(total / (4 * len(photos)), (BLOCK, BLOCK))
    return mean - mean.mean((0, 1))


def main() -> None:
    """Run the command line.

    Raises:
        UserError: a style or a folder that cannot be read.
    """
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("styles", nargs="+")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--count", type=int, default=24)
    given = parser.parse_args()
    files = images.files(given.photos)
    chosen = files[:: max(1, len(files) // given.count)][: given.count]
    photos = [images.square(images.read(file), SIDE) for file in chosen]
    columns = []
    for style in given.styles:
        differences = mean_picture(photos, Stylizer.load(style, precision="f32"))
        most = np.linalg.norm(differences, axis=2).max()
        print(f"{style}: {most:.1f}", flush=True)
        shown = (128 + GAIN * differences).clip(0, 255).astype(np.uint8)
        columns.append(figures.column(Path(style).parent.name or style, f"{most:.0f} levels", [shown]))
    print(figures.write_jpeg(Path(__file__).with_name("place.jpg"), figures.bands(columns, most=len(columns))))


if __name__ == "__main__":
    with one_line_errors():
        main()
