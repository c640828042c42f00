"""Paintings that the network of many styles never saw: python -m experiments.many.heldout [COUNT]

Each is read, and the store's content/ photos are painted in its style at 256×256, as infer.py paints. Losses are of
VGG-16 to relu3_3; a painting's style weight is 1e5 times the energy of The Starry Night's Gram matrices over its own.
"""

from __future__ import annotations

import sys

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
from fst.evaluate import judge
from fst.evaluate.figures import square
from fst.losses.gram import gram_matrix
from fst.losses.student import read, student
from fst.networks import framed
from fst.stylize.framing import MARGIN


def style_loss(features: dict[str, Tensor], grams: dict[str, Tensor]) -> float:
    """Of one picture's features."""
    return sum((gram_matrix(features[layer]) - gram).square().mean().item() for layer, gram in grams.items())


@torch.no_grad()
def main(count: int | None) -> None:
    """Print a row a painting, then the distribution."""
    many = stylefile.load(stylefile.BUNDLED / "many.safetensors")[0]
    exact, reader = extractor("cpu"), student()
    unit = energy(grams_of(exact, painting(BOX["gogh"].path)))[0]
    photos = [images.to_tensor(square(pixels, judge.SIDE)) for pixels in judge.read_photos(None).values()]
    untouched = [exact(photo, LAYERS) for photo in photos]
    rows = []
    for file in split(None)[1][:count]:
        picture = painting(file)
        grams = grams_of(exact, picture)
        weight = trunk.style_weights(grams, unit).item()
        network = many.folded(many.predictor(read(reader, [picture])))
        losses = []
        for photo, before in zip(photos, untouched, strict=True):
            found = exact((framed(network, photo, MARGIN).clamp(0, 1) * 255).round() / 255, LAYERS)
            content = (found[CONTENT] - before[CONTENT]).square().mean().item()
            style = style_loss(found, grams)
            losses.append((content, style, content + weight * style, style / style_loss(before, grams)))
        rows.append((weight, *np.mean(losses, 0)))
        told = "{:.3g} | {:.2f} | {:.2e} | {:.2f} | {:.3f}".format(*rows[-1])
        print(f"| {file.stem[:40]} | {told} |", flush=True)
    for share in (10, 25, 50, 75, 90):
        told = "{:.3g} | {:.2f} | {:.2e} | {:.2f} | {:.3f}".format(*np.percentile(rows, share, axis=0))
        print(f"| {share} % of {len(rows)} | {told} |")


if __name__ == "__main__":
    with one_line_errors():
        main(int(sys.argv[1]) if len(sys.argv) > 1 else None)
