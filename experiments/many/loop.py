"""Short trainings that the studies of this folder share: photos, what is wanted of each, and a few parameters."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from fst.config.compose import compose
from fst.data.noise import with_noise
from fst.data.photo_data import PhotoData
from fst.losses.criterion import Criterion
from fst.losses.style_target import StyleTarget
from fst.methods import parts
from fst.methods.muon import MuonAdam

MUON, ADAM, WARM, MARGIN, NOISE = 0.008, 0.01, 20, 8, 6.0  # as fst trains, but for the shorter warm-up

Paint = Callable[[Tensor, Any], Tensor]  # photos, and what is read of their paintings
Draw = Callable[[int], tuple[StyleTarget, Any]]  # for so many photos: what to reach, and what is read


@dataclass(frozen=True)
class Length:
    """Of a training: steps, photos in each, and the edge of their crops in pixels."""

    steps: int
    batch: int
    size: int


def criterion() -> Criterion:
    """Content and style loss of the small loss network: without the stability term, for half of a step's time."""
    return parts.criterion(OmegaConf.to_object(compose(["loss=vgg16_small", "loss.stability_weight=0"]).loss))


def photos(length: Length, settings: Iterable[str]) -> Iterator[Tensor]:
    """Batches (N, 3, size, size) in [0, 1] without end; `settings` of train.py say of which photos."""
    chosen = [f"data.batch_size={length.batch}", f"data.size={length.size}", "data.workers=0", *settings]
    data = PhotoData(OmegaConf.to_object(compose(chosen).data), seed=0)
    data.prepare_data()
    data.setup("fit")
    for batch in itertools.chain.from_iterable(itertools.repeat(data.train_dataloader())):
        yield data.on_after_batch_transfer(batch, 0)


def fit(
    paint: Paint,
    groups: dict[float, list[nn.Parameter]],
    draw: Draw,
    length: Length,
    settings: Iterable[str] = (),
) -> float:
    """Train, and tell the objective of the last tenth of the steps.

    Args:
        paint: what paints.
        groups: parameters by how fast they learn, of the usual rate.
        draw: targets.
        length: of the training.
        settings: of train.py, for the photos.
    """
    torch.manual_seed(0)
    compared = criterion()
    optimizers = [MuonAdam(of, muon_lr=MUON * rate, lr=ADAM * rate) for rate, of in groups.items()]
    schedulers = [torch.optim.lr_scheduler.LambdaLR(one, lambda step: _rate(step, length.steps)) for one in optimizers]
    told = []
    for batch in itertools.islice(photos(length, settings), length.steps):
        target, read = draw(len(batch))
        inner = (..., slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
        with torch.autocast("cpu", torch.bfloat16):
            painted = paint(with_noise(batch, NOISE), read).float()
        losses = compared(painted[inner], compared.content_target(batch[inner]), target)
        losses.total.backward()
        for one, scheduler in zip(optimizers, schedulers, strict=True):
            one.step()
            one.zero_grad()
            scheduler.step()
        told.append(losses.total.item())
    last = told[-max(1, len(told) // 10) :]
    return sum(last) / len(last)


def _rate(step: int, steps: int) -> float:
    return min(1.0, (step + 1) / WARM) * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))
