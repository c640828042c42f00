"""The criterion that judges every arm of a style, and the photos it judges them on."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from fst import images
from fst.data.paintings import painting
from fst.evaluate.equivalence import HISTORY, centre
from fst.methods import assemble
from fst.methods.gatys import optimise

SIDE = 256


class Judge:
    """A criterion with a painting set, and the middles of photos, 256×256.

    Args:
        config: its loss and its style.
        photos: uint8 (H, W, 3) by name.
        also: further layers at which the content loss is told, though it is not part of the objective.
    """

    def __init__(self, config: DictConfig, photos: dict[str, np.ndarray], also: Sequence[str] = ()) -> None:
        self.config = config
        self.also = also
        self.criterion = assemble.criterion(config, painting(config.style))
        self.photos = {name: images.to_tensor(centre(photo, SIDE)) for name, photo in photos.items()}
        self.targets = {name: self.criterion.content_target(photo) for name, photo in self.photos.items()}
        with torch.inference_mode():
            self.untouched = {name: self.criterion(photo, {}).style.item() for name, photo in self.photos.items()}

    @torch.inference_mode()
    def losses(self, network: nn.Module) -> dict[str, float]:
        """Means over the photos of a network's losses, its pictures clipped to [0, 1]."""
        rows = []
        for name, photo in self.photos.items():
            painted = network(photo).clamp(0, 1)
            terms = self.criterion(painted, self.targets[name])
            style = terms.style.item()
            row = [terms.content.item(), style, style / self.untouched[name], terms.total.item()]
            rows.append(row + [self._distance(painted, photo, layer) for layer in self.also])
        names = ("content_loss", "style_loss", "style_ratio", "total", *(f"content_{layer}" for layer in self.also))
        return dict(zip(names, map(statistics.fmean, zip(*rows, strict=True)), strict=True))

    def _distance(self, painted: Tensor, photo: Tensor, layer: str) -> float:
        features = self.criterion.features
        return F.mse_loss(features(painted, [layer])[layer], features(photo, [layer])[layer]).item()

    @torch.inference_mode()
    def total(self, network: nn.Module, photo: str) -> float:
        """The objective of a network's picture of one photo."""
        return self.criterion(network(self.photos[photo]).clamp(0, 1), self.targets[photo]).total.item()

    def lbfgs(self, photo: str, iterations: int) -> list[float]:
        """The objective after 0, 1, 2, ... iterations of L-BFGS from noise, as Johnson et al. 2016, figure 5."""
        torch.manual_seed(0)
        image = nn.Parameter(torch.rand_like(self.photos[photo]))
        objective = optimise.Objective(image, optimise.evaluator(self.criterion, self.targets[photo]))
        found = optimise.minimise(objective, iterations, history=HISTORY)
        return [step.terms.total.item() for step in found]

    def criterion_facts(self) -> dict[str, Any]:
        """The settings that make its numbers what they are."""
        loss = OmegaConf.to_container(self.config.loss)
        keys = ("architecture", "weights", "content_layers", "style_layers", "style_scales")
        weights = {key: loss[key] for key in ("content_weight", "style_weight", "tv_weight")}
        return {**{key: loss[key] for key in keys}, **weights, "painting_size": self.config.style.size, "side": SIDE}
