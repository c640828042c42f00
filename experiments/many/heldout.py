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
from fst import images, store, stylefile
from fst.errors import one_line_errors
from fst.networks import framed
from fst.stylize.framing import MARGIN

SIDE = 256


def photos() -> list[Tensor]:
    """The middle squares of the store's content/ photos."""
    found = []
    for file in images.files(store.home() / "content"):
        pixels = images.read(file)
        height, width = pixels.shape[:2]
        side = min(height, width)
        box = ((height - side) / 2, (width - side) / 2, side, side)
        found.append(images.to_tensor(images.resize(pixels, (SIDE, SIDE), box=box)))
    return found


@torch.no_grad()
def main(count: int | None) -> None:
    """Print a row a painting, then the distribution."""
    many = stylefile.load(stylefile.BUNDLED / "many.safetensors")[0]
    exact, student = extractor("cpu"), extractor("cpu", "vgg16_small")
    unit = energy(grams_of(exact, painting(BOX["gogh"].path)))[0]
    contents = [(photo, exact(photo, [CONTENT])[CONTENT]) for photo in photos()]
    rows = []
    for file in trunk.paintings()[1][:count]:
        picture = painting(file)
        grams = grams_of(exact, picture)
        weight = trunk.style_weights(grams, unit).item()
        network = many.folded(many.predictor(grams_of(student, picture)))
        losses = []
        for photo, wanted in contents:
            painted = (framed(network, photo, MARGIN).clamp(0, 1) * 255).round() / 255
            found = grams_of(exact, painted)
            content = (exact(painted, [CONTENT])[CONTENT] - wanted).square().mean().item()
            style = sum((found[layer] - grams[layer]).square().mean().item() for layer in LAYERS)
            untouched = grams_of(exact, photo)
            before = sum((untouched[layer] - grams[layer]).square().mean().item() for layer in LAYERS)
            losses.append((content, style, content + weight * style, style / before))
        rows.append((weight, *np.mean(losses, 0)))
        told = "{:.3g} | {:.2f} | {:.2e} | {:.2f} | {:.3f}".format(*rows[-1])
        print(f"| {file.stem[:40]} | {told} |", flush=True)
    for share in (10, 25, 50, 75, 90):
        told = "{:.3g} | {:.2f} | {:.2e} | {:.2f} | {:.3f}".format(*np.percentile(rows, share, axis=0))
        print(f"| {share} % of {len(rows)} | {told} |")


if __name__ == "__main__":
    with one_line_errors():
        main(int(sys.argv[1]) if len(sys.argv) > 1 else None)
