"""What a run measures of itself: speed, waiting for data, gradient norm, learning rate."""

from collections import deque
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.profilers import PassThroughProfiler
from torch.optim import Optimizer

WINDOWS = 5  # of `trainer.log_every_n_steps` steps each


def is_last(trainer: Trainer, step: int) -> bool:
    """Whether a run is complete with this step; never where its length is not set."""
    return 0 < trainer.max_steps <= step


def is_logged(trainer: Trainer, step: int) -> bool:
    """Whether metrics of a step are logged: of every `log_every_n_steps`th, and of the last."""
    return step % trainer.log_every_n_steps == 0 or trainer.should_stop or is_last(trainer, step)


class GradientNorm(Callback):
    """Log `train/gradient_norm` (2-norm over all parameters, before clipping), `train/learning_rate` and Muon's.

    A module that optimises by hand logs its own: the baseline's optimiser is given a multiple of the gradient.
    """

    def on_before_optimizer_step(self, trainer: Trainer, module: LightningModule, optimizer: Optimizer) -> None:
        if not module.automatic_optimization or not is_logged(trainer, trainer.global_step + 1):
            return
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if gradients:
            module.log("train/gradient_norm", torch.nn.utils.get_total_norm(gradients), rank_zero_only=True)
        rates: dict[str, float] = {}
        for group in optimizer.param_groups:  # the first of each: a predictor's own is a tenth of it
            rates.setdefault("muon_learning_rate" if group.get("muon") else "learning_rate", float(group["lr"]))
        for name, rate in rates.items():
            module.log(f"train/{name}", rate, rank_zero_only=True)


class Throughput(Callback):
    """Log `train/images_per_second`, `train/step_seconds` and `train/data_wait` every `log_every_n_steps` steps.

    A step's time is the wait for its batch and the work on it; validation, previews, checkpoints and other callbacks
    are left out, so put this callback before those. The first two metrics are the median over the last five windows
    of steps, which one slow window does not move; the third is the share of those windows spent waiting for data,
    from 0 to 1. The first step (compilation, memory) is not counted. Images are those of all processes together;
    where a batch holds none (the Gatys baseline), only the other two are logged.
    """

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self._windows: deque[_Window] = deque(maxlen=WINDOWS)
        self._window: _Window | None = None
        self._step = trainer.global_step
        self._wait = _WaitClock()
        if type(trainer.profiler) in (PassThroughProfiler, _WaitClock):  # a profiler of the user's own stays
            trainer.profiler = self._wait

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        self._began = perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        due = trainer.global_step != self._step and is_logged(trainer, trainer.global_step)
        if (due or self._window is None) and module.device.type == "cuda":
            torch.cuda.synchronize(module.device)  # kernels are queued: only here does the clock mean something
        waited, self._wait.seconds = self._wait.seconds, 0.0
        if self._window is None:
            self._window = _Window()
        else:
            self._window.seconds += perf_counter() - self._began + waited
            self._window.waited += waited
            self._window.images += images_in(batch) * trainer.world_size
            self._window.steps += trainer.global_step - self._step
        self._step = trainer.global_step
        if due and self._window.steps:
            self._windows.append(self._window)
            self._window = _Window()
            self._log(module)

    def _log(self, module: LightningModule) -> None:
        windows = self._windows
        found = {
            "train/step_seconds": median(window.seconds / window.steps for window in windows),
            "train/data_wait": sum(window.waited for window in windows) / sum(window.seconds for window in windows),
        }
        if all(window.images for window in windows):
            found["train/images_per_second"] = median(window.images / window.seconds for window in windows)
        module.log_dict(found, rank_zero_only=True)


@dataclass
class _Window:
    """Sums over some steps."""

    seconds: float = 0.0  # of work and of waiting for data
    waited: float = 0.0
    images: int = 0
    steps: int = 0


class _WaitClock(PassThroughProfiler):
    """Sums the seconds that the training loop spends in the data loader's `next`: Lightning tells only profilers."""

    ACTION = "train_dataloader_next"

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    def start(self, action_name: str) -> None:
        if action_name.endswith(self.ACTION):
            self._since = perf_counter()

    def stop(self, action_name: str) -> None:
        if action_name.endswith(self.ACTION):
            self.seconds += perf_counter() - self._since


def images_in(batch: Any) -> int:
    """The number of images in a batch: of a tensor (N, C, H, W) N, of anything else 0."""
    return len(batch) if isinstance(batch, torch.Tensor) and batch.ndim == 4 else 0
