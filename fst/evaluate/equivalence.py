"""How good a trained network is, as Johnson et al. 2016 measure it (figure 5): the iteration at which optimising an
image from noise reaches the objective that the network reaches at once.

The objective is the one the network was trained on, read from its style file; the baseline is L-BFGS within [0, 1].
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

from fst import images, stylefile
from fst.config.schema import LossConfig
from fst.errors import UserError
from fst.losses.criterion import Criterion
from fst.losses.style_target import StyleTarget
from fst.methods import parts
from fst.methods.gatys import optimise

SIZE = 256
HISTORY = 100  # the paper's optimiser (Torch's lbfgs) remembers so many steps


@dataclass(frozen=True)
class Match:
    """One photo: the objective of the network's picture, and of the optimisation after 0, 1, 2, ... iterations."""

    photo: str
    network: float
    losses: list[float]

    @property
    def iteration(self) -> int | None:
        """The first iteration that is as good as the network; None: not one of those made."""
        return next((index for index, loss in enumerate(self.losses) if loss <= self.network), None)


@dataclass(frozen=True)
class Equivalence:
    """The matches of one style file over some photos."""

    style: str
    matches: list[Match] = field(default_factory=list)

    def summary(self) -> str:
        """As "31 (24 to 38)": median and range of the matched iterations, > where a photo's was not reached."""
        beyond = max(len(match.losses) for match in self.matches)
        found = sorted(beyond if match.iteration is None else match.iteration for match in self.matches)
        middle = statistics.median_low(found)
        least, median, most = (
            f"> {beyond - 1}" if value == beyond else str(value) for value in (found[0], middle, found[-1])
        )
        return f"{median} ({least} to {most})"


def equivalence(
    file: str | Path,
    painting: np.ndarray,
    photos: dict[str, np.ndarray],
    *,
    iterations: int = 100,
    size: int = SIZE,
    seed: int = 0,
    device: str = "cpu",
    report: Callable[[Match], None] = lambda match: None,
) -> Equivalence:
    """Place a style file's network on the curve of the optimisation.

    Args:
        file: a style file that `train.py` wrote; its loss settings are the objective.
        painting: uint8 (H, W, 3), at the size the network was trained with.
        photos: uint8 (H, W, 3) by name, none of them trained on; the centre is taken, `size`×`size`.
        iterations: of L-BFGS on each photo.
        size: edge in pixels.
        seed: of the noise that the optimisation begins with.
        device: where to compute.
        report: called with each photo's match.

    Raises:
        UserError: no style file, one without loss settings, or no weights for its loss network.
    """
    network, info = stylefile.load(file)
    loss = info.training.get("loss")
    if not loss:
        raise UserError(f"{file} does not say which losses it was trained on, so there is nothing to compare with")
    criterion = parts.criterion(_config(loss)).without_network().to(device)
    style = criterion.style_target([images.to_tensor(painting).to(device)])
    found = Equivalence(str(file))
    for name, photo in photos.items():
        torch.manual_seed(seed)
        match = match_photo(criterion, style, network.to(device), name, centre(photo, size), iterations)
        found.matches.append(match)
        report(match)
    return found


def match_photo(
    criterion: Criterion, style: StyleTarget, network: nn.Module, name: str, photo: np.ndarray, iterations: int
) -> Match:
    """One photo, uint8 (H, W, 3): the network's objective, its picture clipped to [0, 1], and the optimisation's."""
    device = next(network.parameters()).device
    tensor = images.to_tensor(photo).to(device)
    content = criterion.content_target(tensor)
    with torch.no_grad():
        painted = criterion(network(tensor).clamp(0, 1), content, style).total.item()
    image = nn.Parameter(torch.rand_like(tensor))
    objective = optimise.Objective(image, optimise.evaluator(criterion, content, style))
    steps = optimise.minimise(objective, iterations, history=HISTORY)
    return Match(name, painted, [step.losses.total.item() for step in steps])


def centre(photo: np.ndarray, size: int) -> np.ndarray:
    """The largest square in the middle of uint8 (H, W, 3), resized to `size`×`size`."""
    height, width = photo.shape[:2]
    edge = min(height, width)
    return images.resize(photo, (size, size), box=((height - edge) / 2, (width - edge) / 2, edge, edge))


def _config(loss: dict) -> LossConfig:
    known = {key: value for key, value in loss.items() if key in LossConfig.__dataclass_fields__}
    return LossConfig(**known)
