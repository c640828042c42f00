"""What a run measures of itself: speed, waiting for data, gradient norm, learning rate."""

from time import perf_counter
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.profilers import PassThroughProfiler
from torch.optim import Optimizer


def is_last(trainer: Trainer, step: int) -> bool:
    """Whether a run is complete with this step."""
    return trainer.max_steps <= step


def is_logged(trainer: Trainer, step: int) -> bool:
    """Whether metrics of a step are logged: of every `log_every_n_steps`th, and of the last."""
    return step % trainer.log_every_n_steps == 0 or trainer.should_stop or is_last(trainer, step)


class GradientNorm(Callback):
    """Log `train/gradient_norm` (2-norm over all parameters, before clipping) and `train/learning_rate`.

    A module that optimises by hand logs its own: the baseline's optimiser is given a multiple of the gradient.
    """

    def on_before_optimizer_step(self, trainer: Trainer, module: LightningModule, optimizer: Optimizer) -> None:
        if not module.automatic_optimization or not is_logged(trainer, trainer.global_step + 1):
            return
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if gradients:
            module.log("train/gradient_norm", torch.nn.utils.get_total_norm(gradients), rank_zero_only=True)
        module.log("train/learning_rate", float(optimizer.param_groups[0]["lr"]), rank_zero_only=True)


class Throughput(Callback):
    """Log `train/images_per_second`, `train/step_seconds` and `train/data_wait` every `log_every_n_steps` steps.

    A step's time is the wait for its batch and the work on it; validation, previews, checkpoints and other callbacks
    are left out, so put this callback before those. All are of the steps since the last time, the first step of a run
    (compilation, memory) not counted; the third is the share of their time spent waiting for data, from 0 to 1. Images
    are those of all processes together; where a batch holds none (the Gatys baseline), only the other two are logged.
    """

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self._step = trainer.global_step
        self._wait = trainer.profiler = _WaitClock()
        self._first = True

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        self._began = perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        made, self._step = trainer.global_step - self._step, trainer.global_step
        due = made and is_logged(trainer, trainer.global_step)
        if (due or self._first) and module.device.type == "cuda":
            torch.cuda.synchronize(module.device)  # kernels are queued: only here does the clock mean something
        if self._first:
            self._first = False
            self._begin()
            return
        self._work += perf_counter() - self._began
        self._images += images_in(batch)
        self._steps += made
        if due:
            seconds = self._work + self._wait.seconds
            found = {"train/step_seconds": seconds / self._steps, "train/data_wait": self._wait.seconds / seconds}
            if self._images:
                found["train/images_per_second"] = self._images * trainer.world_size / seconds
            module.log_dict(found, rank_zero_only=True)
            self._begin()

    def _begin(self) -> None:
        self._work, self._images, self._steps, self._wait.seconds = 0.0, 0, 0, 0.0


class _WaitClock(PassThroughProfiler):
    """Sums the seconds that the training loop spends in the data loader's `next`: Lightning tells only profilers."""

    seconds = 0.0

    def start(self, action_name: str) -> None:
        if action_name.endswith("train_dataloader_next"):
            self._since = perf_counter()

    def stop(self, action_name: str) -> None:
        if action_name.endswith("train_dataloader_next"):
            self.seconds += perf_counter() - self._since


def images_in(batch: Any) -> int:
    """The number of images in a batch: of a tensor (N, C, H, W) N, of anything else 0."""
    return len(batch) if isinstance(batch, torch.Tensor) and batch.ndim == 4 else 0
