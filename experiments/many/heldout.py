"""Paintings that the network of many styles never saw: python -m experiments.many.heldout [COUNT]

Each is read, and the store's content/ photos are painted in its style at 256×256, as infer.py paints. Losses are of
VGG-16 to relu3_3; a painting's style weight is 1e5 times the energy of The Starry Night's Gram matrices over its own.
Writes worst.jpg, the ten of the highest objective.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from experiments.gpu import trunk
from experiments.gpu.objective import CONTENT, LAYERS, energy, extractor, grams_of
from experiments.gpu.paintings import BOX
from experiments.gpu.pictures import painting
from fst import images, stylefile
from fst.data.painting_crops import split
from fst.errors import one_line_errors
from fst.evaluate import figures, judge
from fst.losses.gram import gram_matrix
from fst.losses.student import read, student

HERE = Path(__file__).resolve().parent
WORST, CELL, MOST_BYTES = 10, 192, 900_000
COLUMNS = {"style weight": ".3g", "content": ".2f", "style": ".2e", "objective": ".2f", "style / untouched": ".3f"}
OBJECTIVE = 3  # its column

Row = tuple[float, ...]  # a value for each of COLUMNS
Paint = Callable[[Tensor], Tensor]


class Unseen:
    """Judges what is painted in the style of any painting.

    Args:
        count: of the store's content/ photos; None: all.
    """

    @torch.no_grad()
    def __init__(self, count: int | None = None) -> None:
        self.exact = extractor("cpu")
        self.unit = energy(grams_of(self.exact, painting(BOX["gogh"].path)))[0]
        self.photos = list(judge.read_photos(None).values())[:count]
        self.untouched = [self.exact(photo, LAYERS) for photo in self.photos]

    @torch.no_grad()
    def row(self, picture: Tensor, paint: Paint) -> Row:
        """Means over the photos, for a painting (1, 3, H, W) in [0, 1] and what paints as it."""
        grams = grams_of(self.exact, picture)
        weight = trunk.style_weights(grams, self.unit).item()
        losses = []
        for photo, before in zip(self.photos, self.untouched, strict=True):
            found = self.exact((paint(photo).clamp(0, 1) * 255).round() / 255, LAYERS)
            content = (found[CONTENT] - before[CONTENT]).square().mean().item()
            style = style_loss(found, grams)
            losses.append((content, style, content + weight * style, style / style_loss(before, grams)))
        return (weight, *np.mean(losses, 0).tolist())


def style_loss(features: Mapping[str, Tensor], grams: Mapping[str, Tensor]) -> float:
    """Of one picture's features."""
    return sum((gram_matrix(features[layer]) - gram).square().mean().item() for layer, gram in grams.items())


def reader() -> Callable[[Tensor], Paint]:
    """From a painting (1, 3, H, W) to what paints as the bundled network of many styles reads it."""
    many = stylefile.load(stylefile.BUNDLED / stylefile.MANY)[0]
    features = student()
    return lambda picture: judge.as_used(many.folded(many.predictor(read(features, [picture]))))


def distribution(rows: Sequence[Row]) -> list[Row]:
    """10, 25, 50, 75 and 90 % of each column."""
    return [tuple(np.percentile(rows, share, axis=0)) for share in (10, 25, 50, 75, 90)]


def line(name: str, row: Row) -> str:
    """Of a Markdown table."""
    cells = [format(value, form) for value, form in zip(row, COLUMNS.values(), strict=True)]
    return f"| {name} | {' | '.join(cells)} |"


def worst(rows: dict[Path, Row], paints: Callable[[Tensor], Paint], photos: Sequence[Tensor]) -> np.ndarray:
    """The paintings of the highest objective, and photos painted as each."""
    files = sorted(rows, key=lambda file: -rows[file][OBJECTIVE])[:WORST]
    columns = []
    for file in files:
        picture = painting(file)
        paint = paints(picture)
        cells = [images.to_pixels(shown) for shown in (picture, *(paint(photo).clamp(0, 1) for photo in photos))]
        told = f"objective {rows[file][OBJECTIVE]:.1f}, style {rows[file][-1]:.3f}"
        columns.append(figures.column(file.stem[:40], told, [images.square(cell, CELL) for cell in cells]))
    cells = [np.full((CELL, CELL, 3), 255, np.uint8), *(images.square(images.to_pixels(p), CELL) for p in photos)]
    return figures.bands([figures.column("photos", "", cells), *columns], 1 + WORST // 2)


@torch.no_grad()
def main(count: int | None) -> None:
    """Print one row per painting, then the distribution, then the worst; draw those."""
    unseen, paints, rows = Unseen(), reader(), {}
    for file in split(None)[1][:count]:
        picture = painting(file)
        rows[file] = unseen.row(picture, paints(picture))
        print(line(file.stem[:40], rows[file]), flush=True)
    for share, row in zip((10, 25, 50, 75, 90), distribution(list(rows.values())), strict=True):
        print(line(f"{share} % of {len(rows)}", row))
    for file in sorted(rows, key=lambda file: -rows[file][OBJECTIVE])[:WORST]:
        print(line(f"worst: {file.stem}", rows[file]))
    figures.write_jpeg(HERE / "worst.jpg", worst(rows, paints, unseen.photos[2:5]), MOST_BYTES)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", nargs="?", type=int, help="of paintings; all unless given")
    with one_line_errors():
        main(parser.parse_args().count)
