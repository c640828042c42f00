"""Train rows of the bundled network's table and nothing else: python -m experiments.many.rows STEPS FILE STYLE...

A style that the table does not have begins as the predictor reads it (Ghiasi et al. 2017); a style of the table that is
no longer in `experiments.gpu.paintings` is left out. Convolutions stay as they are (Dumoulin, Shlens and Kudlur 2017,
section 3.1), and with them all other styles, the predictor and what is measured of both. A third of a second a step.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from pathlib import Path

import torch
from omegaconf import OmegaConf
from torch import Tensor

from experiments.gpu.objective import LAYERS, Objective, grams_of, unrest
from experiments.gpu.paintings import MANY
from experiments.gpu.pictures import painting, photos
from experiments.gpu.trunk import STABILITY
from fst import stylefile
from fst.config.compose import compose
from fst.errors import UserError, one_line_errors
from fst.losses.student import student
from fst.methods.feedforward import about_painting
from fst.networks import build
from fst.networks.conditional import Conditional
from fst.stylefile import StyleInfo

BATCH, RATE = 4, 5e-3
CROP, CHECKERBOARD = 160, 3000.0


@torch.no_grad()
def with_rows(many: Conditional, info: StyleInfo, styles: list[str]) -> tuple[Conditional, StyleInfo]:
    """The network with these styles in its table besides its own, and what its file says of it."""
    new = [name for name in styles if name not in many.names]
    rows = {name: many.table[many.names.index(name)] for name in many.names if name in MANY}
    rows |= {name: many.predictor(grams_of(student(), painting(MANY[name].path)))[0] for name in new}
    settings = info.settings | {"styles": list(rows)}
    grown = build(info.network, **settings)
    grown.load_state_dict(many.state_dict() | {"table": torch.stack(list(rows.values()))})
    known = info.style["paintings"]
    configs = {name: OmegaConf.to_object(compose([f"style={name}"]).style) for name in new}
    paintings = {name: known[name] if name in known else about_painting(configs[name]) for name in rows}
    described = dataclasses.replace(info, settings=settings, style=info.style | {"paintings": paintings}, int8={})
    return grown, described


def train(steps: int, target: Path, styles: list[str]) -> None:
    """Train the rows of these styles, and write the style file.

    Raises:
        UserError: a style without a painting in `experiments.gpu.paintings`; no store with photos and paintings.
    """
    if missing := [name for name in styles if name not in MANY]:
        raise UserError(f"no painting for {', '.join(missing)} in experiments/gpu/paintings.py")
    torch.manual_seed(2)
    many, info = stylefile.load(stylefile.BUNDLED / stylefile.MANY)
    exact, objective = student(), Objective(student().in_precision(torch.bfloat16), CROP, CHECKERBOARD)
    many, info = with_rows(many, info, styles)
    many.to(memory_format=torch.channels_last).requires_grad_(False)
    own = [grams_of(exact, painting(MANY[name].path)) for name in styles]
    wanted = {layer: torch.cat([one[layer] for one in own]) for layer in LAYERS}
    weights = torch.tensor([MANY[name].style_weight for name in styles])
    places = [many.names.index(name) for name in styles]
    rows = torch.nn.Parameter(many.table[places].clone())
    optimizer = torch.optim.Adam([rows], RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    bank, begun = photos("cpu")[0], time.time()
    for step in range(steps):
        chosen = (BATCH * step + torch.arange(BATCH)) % len(styles)

        def paint(pictures: Tensor, chosen: Tensor = chosen) -> Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                return many(pictures, rows[chosen])

        targets = {layer: of[chosen] for layer, of in wanted.items()}
        total, told = objective(bank.crops(BATCH, objective.taken), paint, targets, weights[chosen], STABILITY)
        optimizer.zero_grad()
        (total + CHECKERBOARD * unrest(paint, bank.skies())).backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 99:
            figures = ", ".join(f"{name} {float(value):.2f}" for name, value in told.items())
            print(f"step {step + 1}/{steps}, {time.time() - begun:.0f} s: {figures}", flush=True)
    with torch.no_grad():
        many.table[places] = rows
    stylefile.save(target, many, info, half=True)
    print(f"{target}: measure its 8-bit ranges with  python -m fst.stylize.ranges {target} PHOTOS")


if __name__ == "__main__":
    with one_line_errors():
        if len(sys.argv) < 4 or not sys.argv[1].isdecimal():
            raise UserError("usage: python -m experiments.many.rows STEPS FILE STYLE...")
        train(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
