"""An image is optimised: Gatys, Ecker, Bethge 2016, "Image Style Transfer Using Convolutional Neural Networks"."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fst import images
from fst.errors import UserError
from fst.losses.criterion import Criterion, least_edge
from fst.losses.style_target import StyleTarget, combine
from fst.methods.gatys import optimise
from fst.methods.gatys.problem import Problem, Scale, plan
from fst.tracking.previews import Preview

if TYPE_CHECKING:
    from fst.methods.gatys.baseline import Gatys


class GatysStyleTransfer(pl.LightningModule):
    """Optimise an image so that it has a photo's content and the paintings' style, from coarse to fine.

    One step is one iteration of the optimiser; `trainer.max_steps` is their number. There are no data. With
    `trainer.precision=bf16-mixed` features are computed in bf16; targets, Gram matrices and losses stay in fp32.
    """

    def __init__(self, criterion: Criterion, problem: Problem, method: Gatys) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.strict_loading = False  # the loss network is not in a checkpoint: it never changes
        self.criterion, self.problem, self.method = criterion, problem, method
        self.least, _ = least_edge(criterion.terms.values())
        self.plan = plan(problem.size, method.coarsest, method.steps, self.least)
        self.stage = 0  # in the plan
        self.image = nn.Parameter(self._start(self.plan[0].size))
        self.objective: optimise.Objective | None = None
        self._evaluations = 0  # before this start of a resumed run
        self._exact = self._fast = criterion.features
        if method.config.trainer.precision == "bf16-mixed":
            self._fast = copy.deepcopy(self._exact).in_precision(torch.bfloat16)

    def train_dataloader(self) -> Iterator[int]:
        return itertools.repeat(0)

    def val_dataloader(self) -> list[int]:
        return [0]  # one validation, at the end

    @property
    def scale(self) -> Scale:
        return self.plan[self.stage]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """An optimiser for the image at its present size; the targets of that size are taken, too."""
        self.criterion.features = self._exact.to(self.device)
        size, method = self.scale.size, self.method
        paintings = [each.to(self.device) for each in self.problem.paintings_at(size, self.least)]
        regions, masks = self.problem.regions_at(size, paintings)
        style = self._style_target(paintings, masks)
        photo = self.problem.photo_at(size)
        photo = None if photo is None else photo.to(self.device)
        content = {} if photo is None else self.criterion.content_target(photo)
        self.criterion.features = self._fast.to(self.device)
        self.evaluate = optimise.evaluator(self.criterion, content, style, regions=regions, photos=photo)
        done = self.objective.evaluations if self.objective else self._evaluations
        self.objective = optimise.Objective(self.image, self.evaluate, evaluations=done)
        return optimise.optimizer(
            self.image, method.optimizer, learning_rate=method.learning_rate, history=method.history
        )

    def _style_target(self, paintings: list[Tensor], masks: list[Tensor] | None) -> StyleTarget:
        """The mixture of the paintings, or of each region's: a region takes from the paintings that have it."""
        if self.criterion.style is None:
            return StyleTarget({})
        shares = torch.tensor(self.method.style_shares or [1.0] * len(paintings))[:, None]
        if masks is not None:
            shares = shares * torch.stack([own.flatten(1).amax(1) > 0 for own in masks]).cpu()
        masks = masks or [None] * len(paintings)
        return combine([self.criterion.style_target([p], [m]) for p, m in zip(paintings, masks, strict=True)], shares)

    def training_step(self, batch: Any, index: int) -> None:
        found = optimise.step(self.optimizers(), self.objective)
        logged = {
            **found.losses.named(),
            **found.losses.parts,
            "gradient_norm": found.gradient.norm() / self.objective.scale,
            "evaluations": float(self.objective.evaluations),
            "long_edge": float(max(self.scale.size)),
        }
        self.log_dict({f"train/{name}": value for name, value in logged.items()})
        if self.global_step >= self.scale.until and self.stage + 1 < len(self.plan):
            self._enlarge()

    def validation_step(self, batch: Any, index: int) -> None:
        """Named as a network's validation, so that both methods stand in one table."""
        losses = self.objective.current().losses
        found = {name: value.item() for name, value in losses.named().items()}
        if self.problem.photo is not None and self.criterion.style is not None:
            photo = self.problem.photo_at(self.scale.size).to(self.image)
            untouched, _ = self.evaluate(photo if self.problem.channels == 3 else photo.mean(1, keepdim=True))
            found["style_ratio"] = found["style_loss"] / max(untouched.values["style"].item(), 1e-12)
        self.log_dict({f"val/{name}": value for name, value in found.items()}, batch_size=1)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["state_dict"] = {"image": self.image.detach()}
        # A resumed run makes the one at this image again, which this run remembers.
        checkpoint["evaluations"] = self.objective.evaluations - (self.objective.known() is not None)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        image = checkpoint["state_dict"]["image"]
        size, sizes = tuple(image.shape[-2:]), [scale.size for scale in self.plan]
        if size not in sizes or image.shape[1] != self.problem.channels:
            raise UserError(
                f"the run stopped with an image of {size[1]}×{size[0]} pixels, a size these settings do not pass "
                "through: resume with content, method.size, method.coarsest and method.colors as they were"
            )
        self.image, self.stage = nn.Parameter(torch.empty_like(image)), sizes.index(size)
        self._evaluations = checkpoint.get("evaluations", 0)

    @torch.no_grad()
    def picture(self) -> np.ndarray:
        """The image so far at the final size, uint8 (H, W, 3)."""
        return self.problem.picture(self.image.detach().cpu(), self.problem.size)

    def result(self) -> np.ndarray:
        """The image so far at the photo's size (at its own where it is larger or a texture), uint8 (H, W, 3)."""
        photo = self.problem.photo
        size = self.problem.size if photo is None else max(photo.shape[:2], self.problem.size)
        return self.problem.picture(self.image.detach().cpu(), size)

    def previews(self) -> list[Preview]:
        """The photo (the first painting, for a texture) and the image so far."""
        photo = self.problem.paintings[0] if self.problem.photo is None else self.problem.photo
        if self.problem.photo is not None:
            photo = images.resize(photo, self.problem.size)
        return [Preview(self.method.name, images.to_tensor(photo)[0], images.to_tensor(self.picture())[0])]

    def _start(self, size: tuple[int, int]) -> Tensor:
        """Where the optimisation begins: (1, C, H, W) in [0, 1]."""
        if self.method.init == "noise":
            generator = torch.Generator().manual_seed(self.method.config.seed)
            return torch.rand(1, self.problem.channels, *size, generator=generator)
        if self.method.init == "content":
            start = self.problem.photo_at(size)
        else:
            start = images.to_tensor(images.resize(images.read(self.method.init), size))
        return start if self.problem.channels == 3 else start.mean(1, keepdim=True)

    def _enlarge(self) -> None:
        """Go on at the next size from what there is, with an optimiser that knows nothing of the smaller one."""
        self.stage += 1
        with torch.no_grad():
            larger = F.interpolate(self.image, self.scale.size, mode="bicubic", align_corners=False)
        self.image = nn.Parameter(larger)  # the objective clips it
        self.trainer.optimizers = [self.configure_optimizers()]
