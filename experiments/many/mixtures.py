"""What the bundled network of many styles paints: python -m experiments.many.mixtures

Writes matrix.jpg, photos × styles, and mixtures.jpg, from one style to another, by mixing scales and shifts and by
mixing two painted pictures. Prints the table of how near halves of two styles come to the mean of their Gram matrices.
"""

from __future__ import annotations

import itertools
import statistics
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from experiments.gpu.objective import CONTENT, LAYERS, energy, extractor, grams_of
from experiments.gpu.paintings import MANY
from experiments.gpu.pictures import painting
from experiments.many.heldout import style_loss
from fst import images, stylefile
from fst.errors import one_line_errors
from fst.evaluate import figures, judge
from fst.networks.conditional import Conditional
from fst.tracking.previews import side_by_side

HERE = Path(__file__).resolve().parent
CELL, MOST_BYTES = 176, 900_000
PAIR = ("gogh", "mondrian")
MIXED = ("gogh", "hokusai", "klimt", "mondrian", "piranesi", "souza")  # kinds of their own: each with each
SHARES = (0.0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0)
WAYS = {"scales and shifts": "vectors", "pictures": "pixels"}


class Mixer:
    """Mixtures of two styles of a network, by either way."""

    def __init__(self, many: Conditional) -> None:
        self.many = many

    def paint(self, way: str, first: str, second: str, share: float, photo: Tensor) -> Tensor:
        """(1, 3, H, W) in [0, 1], painted with so much of the second style."""
        if way == "vectors":
            return self._painted({first: 1 - share, second: share}, photo)
        return torch.lerp(self._painted({first: 1.0}, photo), self._painted({second: 1.0}, photo), share)

    def _painted(self, shares: dict[str, float], photo: Tensor) -> Tensor:
        return judge.as_used(self.many.for_style(shares))(photo).clamp(0, 1)


def matrix(many: Conditional, photos: dict[str, Tensor]) -> np.ndarray:
    """Photos × styles: one column per style."""
    columns = [figures.column("photos", "", [_cell(photo) for photo in photos.values()])]
    for name in many.names:
        paint = judge.as_used(many.for_style({name: 1.0}))
        columns.append(figures.column(name, "", [_cell(paint(photo)) for photo in photos.values()]))
    return figures.bands(columns, 1 + -(-len(many.names) // 2))


def mixtures(mixer: Mixer, photo: Tensor, enlarged: int = 96) -> np.ndarray:
    """One column per share: by scales and shifts, by pictures; below each its middle, enlarged."""
    columns = []
    for share in SHARES:
        cells = []
        for way in WAYS.values():
            pixels = images.to_pixels(mixer.paint(way, *PAIR, share, photo))
            cells += [pixels, figures.enlarged(images.square(pixels, enlarged, part=enlarged), judge.SIDE)]
        columns.append(figures.column(f"{1 - share:.0%} {PAIR[0]}, {share:.0%} {PAIR[1]}", "", cells))
    return side_by_side(columns)


def table(mixer: Mixer, photos: dict[str, Tensor]) -> str:
    """Markdown: halves of two styles, over pairs and photos, by each way."""
    exact = extractor("cpu")
    grams = {name: grams_of(exact, painting(MANY[name].path)) for name in MIXED}
    before = {name: exact(photo, [CONTENT])[CONTENT] for name, photo in photos.items()}
    lines = [
        "| a half of each, mixed as | content loss | style loss to the mean of both | energy of the Gram matrices, of "
        "the mean's |",
        "|---|---:|---:|---:|",
    ]
    for told, way in WAYS.items():
        rows = []
        for (one, two), (name, photo) in itertools.product(itertools.combinations(MIXED, 2), photos.items()):
            mean = {layer: (grams[one][layer] + grams[two][layer]) / 2 for layer in LAYERS}
            painted = mixer.paint(way, one, two, 0.5, photo)
            found = exact(painted, LAYERS)
            content = (found[CONTENT] - before[name]).square().mean().item()
            share = (energy(grams_of(exact, painted)) / energy(mean)).item()
            rows.append((content, style_loss(found, mean), share))
        content, style, share = (statistics.fmean(column) for column in zip(*rows, strict=True))
        lines.append(f"| {told} | {content:.2f} | {style:.2e} | {share:.2f} |")
    return "\n".join(lines)


def _cell(picture: Tensor) -> np.ndarray:
    return images.square(images.to_pixels(picture.clamp(0, 1)), CELL)


@torch.no_grad()
def main() -> None:
    many = stylefile.load(stylefile.BUNDLED / stylefile.MANY)[0]
    photos = judge.read_photos(None)
    mixer = Mixer(many)
    few = {name: photos[name] for name in list(photos)[:4]}
    figures.write_jpeg(HERE / "matrix.jpg", matrix(many, few), MOST_BYTES)
    figures.write_jpeg(HERE / "mixtures.jpg", mixtures(mixer, photos["tubingen"]), MOST_BYTES)
    print(table(mixer, few))


if __name__ == "__main__":
    with one_line_errors():
        main()
