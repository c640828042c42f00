"""Train a network of many styles further, for calm skies: python -m experiments.many.calm STEPS FILE [FROM]

From a style file of many, the bundled one if none is said, on one CPU core by VGG-16, half a second a step: four crops,
two in styles of the table and two in styles read from other paintings, as `experiments.gpu.trunk` trains on a GPU; and
smooth skies with a camera's grain, in which the checkerboard term sees whatever repeats at the network's own period.
FILE is written every 300 steps.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from experiments.gpu.captured import Optimizer
from experiments.gpu.objective import LAYERS, Objective, energy, grams_of
from experiments.gpu.paintings import MANY
from experiments.gpu.pictures import Bank, painting, photos
from experiments.gpu.styles import Studio
from experiments.gpu.trunk import Shelf
from fst import stylefile
from fst.data.painting_crops import split
from fst.errors import UserError, one_line_errors
from fst.losses.terms.checkerboard import repetition

WEIGHTS = {"gogh": 1.3e5, "hokusai": 1e5, "kandinsky": 4e4, "picabia": 1.3e5, "mondrian": 5e4}  # where not the list's
CROP, SKY, MARGIN = 160, 112, 8
STABILITY, CHECKERBOARD = 450.0, 3000.0
BEHIND = ("hokusai", "picabia")  # furthest from networks of their own: three turns where the others have one
KERNELS, OTHERS, TABLE, PREDICTOR = 4e-3, 2e-3, 5e-3, 3e-4  # learning rates
MOST = 30.0  # as trainer.gradient_clip_val has it


def skies(bank: Bank, step: int) -> Tensor:
    """(4, 3, SKY, SKY): photos of which only the large shapes are left, and grain."""
    coarse = F.adaptive_avg_pool2d(bank.crops(4, SKY), SKY // (4, 8, 16, 28)[step % 4])
    smooth = F.interpolate(coarse, size=(SKY, SKY), mode="bicubic").clamp(0, 1)
    grain = torch.randn_like(smooth) * (0.01 * torch.rand(4, 1, 1, 1))
    return (smooth + grain).contiguous(memory_format=torch.channels_last)


def unrest(paint: Callable[[Tensor], Tensor], bank: Bank, step: int) -> Tensor:
    """The checkerboard term, weighted, of what is painted from skies."""
    painted = paint(skies(bank, step)).float()[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
    return CHECKERBOARD * repetition(painted, window=6)


def tell(step: int, steps: int, begun: float, told: dict[str, Tensor]) -> None:
    """A line of losses every hundred steps."""
    if step % 100 == 99:
        figures = ", ".join(f"{name} {float(value):.2f}" for name, value in told.items())
        print(f"step {step + 1}/{steps}, {time.time() - begun:.0f} s: {figures}", flush=True)


def train(steps: int, target: Path, start: Path) -> None:
    """Train what `start` holds, and write the style file.

    Raises:
        UserError: no store with photos and paintings.
    """
    torch.manual_seed(1)
    many, info = stylefile.load(start)
    many.to(memory_format=torch.channels_last).requires_grad_(True)
    studio = Studio("cpu", photos("cpu")[0])
    objective = Objective(studio.features, CROP, CHECKERBOARD)
    styles = {name: MANY[name] for name in many.names}
    own = [grams_of(studio.exact, painting(style.path)) for style in styles.values()]
    table = {layer: torch.cat([one[layer] for one in own]) for layer in LAYERS}
    weights = torch.tensor([WEIGHTS.get(name, style.style_weight) for name, style in styles.items()])
    unit = energy(own[many.names.index("gogh")])[0]
    turns = torch.tensor([*range(len(styles)), *(2 * [many.names.index(name) for name in BEHIND])])
    shelf = Shelf(studio, split(None)[0], crops_each=3, unit=unit)
    kernels = [one for one in many.layers.parameters() if one.dim() == 4]
    others = [one for one in many.layers.parameters() if one.dim() != 4]
    rates = {OTHERS: others, TABLE: [many.table], PREDICTOR: list(many.predictor.parameters())}
    optimizer = Optimizer(kernels, rates, steps, KERNELS)
    begun = time.time()
    for step in range(steps):
        places = turns[(2 * step + torch.arange(2)) % len(turns)]
        targets, seen, of_read = shelf.draw(2)
        vectors = torch.cat([many.table[places], many.predictor(seen)])
        wanted = {layer: torch.cat([table[layer][places], targets[layer]]) for layer in LAYERS}

        def paint(pictures: Tensor, vectors: Tensor = vectors) -> Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                return many(pictures, vectors)

        crops = studio.photos.crops(4, objective.taken)
        total, told = objective(crops, paint, wanted, torch.cat([weights[places], of_read]), STABILITY)
        many.zero_grad()
        (total + unrest(paint, studio.photos, step)).backward()
        if torch.nn.utils.clip_grad_norm_(many.parameters(), MOST).isfinite():  # else a sky of one colour
            optimizer.step()
        tell(step, steps, begun, told)
        if step % 300 == 299 or step == steps - 1:
            training = info.training | {"steps": info.training["steps"] + step + 1}
            stylefile.save(target, many, dataclasses.replace(info, training=training, int8={}), half=True)
    print(f"{target}: measure its 8-bit ranges with  python -m fst.stylize.ranges {target} PHOTOS")


if __name__ == "__main__":
    with one_line_errors():
        if len(sys.argv) not in (3, 4) or not sys.argv[1].isdigit():
            raise UserError("usage: python -m experiments.many.calm STEPS FILE [FROM]")
        start = Path(sys.argv[3]) if len(sys.argv) == 4 else stylefile.BUNDLED / stylefile.MANY
        train(int(sys.argv[1]), Path(sys.argv[2]), start)
