"""What a network draws that comes from its layers and not from the picture: grids, blobs, borders.

python -m fst.evaluate.grid PHOTO [STYLE...] [--figure FILE.jpg]

Paints a photo and a flat image with untrained networks of every kind and with trained styles (the bundled ones), alone
and in the margin in which infer.py paints.
"""

import argparse
import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fst import images, stylefile
from fst.errors import one_line_errors
from fst.evaluate import figures
from fst.evaluate.report import markdown
from fst.networks import NETWORKS, build, framed
from fst.networks.conditional import Conditional
from fst.stylize import styles
from fst.stylize.framing import MARGIN

SIDE, CROP, RING, BLOCK = 256, 48, 8, 16
AROUND = 8  # frequencies on each side of a grid's
LEVEL = 0.6  # of the flat image
GAIN = 8  # by which the flat image's deviations are enlarged to be seen


def grid(pixels: np.ndarray, period: int = 2) -> float:
    """How far the energy at a period of so many pixels, across or down, stands out from that around it.

    The larger of both directions, over the median of the frequencies around. Photos, uint8 (H, W, 3) of at least 64×64,
    have some 10, a flat picture 0, a grid that is seen in flat sky hundreds. The period is 2 or 4.
    """
    height, width = (edge // 4 * 4 for edge in pixels.shape[:2])
    grey = pixels[:height, :width].mean(2)
    power = np.square(np.abs(np.fft.fft2(grey - grey.mean())))
    marks = ((height // period, 0), (0, width // period))
    return max(power[mark] / max(_around(power, *mark), 1e-12) for mark in marks)


def _around(power: np.ndarray, row: int, column: int) -> float:
    rows, columns = (np.arange(middle - AROUND, middle + AROUND + 1) for middle in (row, column))
    part = power[np.ix_(rows % power.shape[0], columns % power.shape[1])]
    return float(np.median(np.delete(part.ravel(), part.size // 2)))


def blob(painted: np.ndarray, photo: np.ndarray) -> float:
    """How far the 16×16 pixels that differ most from the photo in mean colour stand out from the median ones.

    Both are uint8 (H, W, 3).
    """
    height, width = (edge // BLOCK * BLOCK for edge in photo.shape[:2])
    apart = painted[:height, :width].astype(float) - photo[:height, :width]
    blocks = apart.reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK, 3).mean((1, 3))
    distances = np.linalg.norm(blocks - np.median(blocks, (0, 1)), axis=2)
    return float(distances.max() / max(np.median(distances), 1e-6))


def border(painted: np.ndarray, photo: np.ndarray) -> float:
    """The outer 8 pixels' energy of differences over the whole picture's, where the photo's own is 1.

    Both are uint8 (H, W, 3).
    """
    return _share(painted) / _share(photo)


def _share(pixels: np.ndarray) -> float:
    values = pixels.astype(float)
    energy = np.square(values[1:, 1:] - values[:-1, 1:]) + np.square(values[1:, 1:] - values[1:, :-1])
    inside = energy[RING:-RING, RING:-RING]
    return (energy.sum() - inside.sum()) / (energy.size - inside.size) / energy.mean()


def flat_border(painted: Tensor) -> float:
    """By how many levels of 255 the outer 8 pixels of a painted flat image (1, 3, H, W) differ from its middle."""
    ring = torch.ones(painted.shape[-2:], dtype=torch.bool)
    ring[RING:-RING, RING:-RING] = False
    inside = painted[..., RING:-RING, RING:-RING].mean((-1, -2))
    return 255 * (painted[..., ring].mean(-1) - inside).abs().max().item()


def flat_ripple(painted: Tensor) -> float:
    """The standard deviation, in levels, of the middle of a painted flat image, where nothing should be seen."""
    return 255 * painted[..., 64:-64, 64:-64].std((-1, -2)).max().item()


def painters(named: Sequence[str]) -> dict[str, Callable[[Tensor], Tensor]]:
    """Each kind of network with random weights, then trained ones, alone and as infer.py paints with them."""
    found: dict[str, Callable[[Tensor], Tensor]] = {}
    for name in sorted(NETWORKS, reverse=True):
        if not issubclass(NETWORKS[name], Conditional):  # which fold into one of the others
            torch.manual_seed(0)
            found[f"{name}, untrained"] = build(name).eval()
    for style in named or stylefile.bundled():
        trained = styles.find(style)
        network, info = trained.network(), trained.info
        found[f"{info.network}, {style}, alone"] = network
        found[f"{info.network}, {style}, in a margin"] = functools.partial(framed, network, margin=MARGIN)
    return found


def measured(flat: Tensor, painted: np.ndarray, photo: np.ndarray) -> dict[str, float]:
    """Every figure of a network: of the flat image it painted, and of the photo."""
    return {
        "border of flat": flat_border(flat),
        "ripple of flat": flat_ripple(flat),
        "grid of 2": grid(painted),
        "grid of 4": grid(painted, 4),
        "blob": blob(painted, photo),
        "border": border(painted, photo),
    }


def draw(pictures: dict[str, tuple[Tensor, np.ndarray]], path: Path) -> None:
    """One column per network: flat, deviations enlarged; its corner, its middle; photo, its corner, a part of it."""
    middle, corner = slice(SIDE // 2, SIDE // 2 + CROP), slice(0, CROP)
    columns = []
    for name, (flat, painted) in pictures.items():
        centre = flat[..., 64:-64, 64:-64].mean((-1, -2), keepdim=True)
        shown = images.to_pixels((flat - centre) * GAIN + 0.5)
        part = slice(painted.shape[0] // 2, painted.shape[0] // 2 + CROP)
        cells = [shown, shown[corner, corner], shown[middle, middle], painted]
        cells += [painted[corner, corner], painted[part, middle]]
        title, _, below = name.partition(", ")
        columns.append(figures.column(title, below, [figures.enlarged(cell, SIDE) for cell in cells]))
    figures.write_jpeg(path, figures.bands(columns, most=len(columns)))


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line; what cannot be had or read is a UserError."""
    parser = argparse.ArgumentParser(prog="python -m fst.evaluate.grid", description=__doc__.partition("\n")[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("styles", nargs="*", help="styles (the bundled ones)")
    parser.add_argument("--figure", type=Path, help="a JPEG of everything, side by side")
    given = parser.parse_args(words)
    pixels = images.read(given.photo)
    photo = images.resize(pixels, images.fit_long_edge(*pixels.shape[:2], SIDE))
    flat = torch.full((1, 3, SIDE, SIDE), LEVEL)
    pictures = {}
    for name, paint in painters(given.styles).items():
        with torch.inference_mode():
            painted = paint(images.to_tensor(photo))
            if name.endswith("untrained"):  # random weights paint in pale colours
                painted = (painted - painted.amin()) / (painted.amax() - painted.amin())
            pictures[name] = (paint(flat), images.to_pixels(painted))
    rows = {name: measured(of_flat, painted, photo) for name, (of_flat, painted) in pictures.items()}
    cells = {name: [f"{value:.3g}" for value in row.values()] for name, row in rows.items()}
    print(markdown(["network", *next(iter(rows.values()))], cells))
    print(f"\nthe photo itself: grid of 2 {grid(photo):.3g}, of 4 {grid(photo, 4):.3g}")
    if given.figure:
        draw(pictures, given.figure)
        print(f"figure  {given.figure}")


if __name__ == "__main__":
    with one_line_errors():
        main()
