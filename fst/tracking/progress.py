"""The progress line of a run: renewed in its place in a terminal, a new line now and then elsewhere."""

from datetime import timedelta
from time import perf_counter
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_only
from rich.console import Console
from rich.status import Status

LIVE_SECONDS = 0.5  # between updates: each reads losses, which makes a GPU's queue run empty
PLAIN_SECONDS = 30.0
LOSSES = {"train/loss": "loss", "train/content_loss": "content", "train/style_loss": "style"}


class ProgressLine(Callback):
    """Step, speed, time left and losses, from the trainer's global step and its logged metrics.

    Lightning's own bars begin at 0 when a run is resumed, and where standard output is no terminal they have no lines.
    """

    def __init__(self, console: Console | None = None, plain_seconds: float = PLAIN_SECONDS) -> None:
        self._console = console or Console()
        self._live = self._console.is_interactive or self._console.is_jupyter
        self._every = LIVE_SECONDS if self._live else plain_seconds
        self._status: Status | None = None

    @rank_zero_only
    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self._step = self._told = trainer.global_step
        self._began: tuple[int, float] | None = None  # step and time from which speed counts: the first one compiles
        self._told_at = float("-inf")
        if self._live:
            self._status = self._console.status(f"{_counted(trainer)} first step", refresh_per_second=4)
            self._status.start()

    @rank_zero_only
    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        self._began = self._began or (self._step, perf_counter())
        if perf_counter() - self._told_at >= self._every:
            self._tell(trainer)

    @rank_zero_only
    def on_validation_start(self, trainer: Trainer, module: LightningModule) -> None:
        if self._status:
            self._status.update(f"{_counted(trainer)} validation")

    @rank_zero_only
    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        self._close()
        if self._began and (self._live or trainer.global_step != self._told):
            self._tell(trainer)

    @rank_zero_only
    def on_exception(self, trainer: Trainer, module: LightningModule, exception: BaseException) -> None:
        self._close()

    def _tell(self, trainer: Trainer) -> None:
        self._told, self._told_at = trainer.global_step, perf_counter()
        line = "  ".join([_counted(trainer), *self._state(trainer)])
        if self._status:
            self._status.update(line)
        else:
            self._console.print(f"step {line}", markup=False, highlight=False, soft_wrap=True)

    def _state(self, trainer: Trainer) -> list[str]:
        """Speed, time left and losses, each where it is known."""
        metrics, (first, began) = trainer.callback_metrics, self._began
        made, seconds, parts = trainer.global_step - first, perf_counter() - began, []
        if "train/images_per_second" in metrics:
            parts.append(f"{float(metrics['train/images_per_second']):.3g} images/s")
        elif made:
            parts.append(f"{seconds / made:.3g} s/step")
        if made and trainer.global_step < trainer.max_steps:
            left = round(seconds / made * (trainer.max_steps - trainer.global_step))
            parts.append(f"{timedelta(seconds=left)} left")
        return parts + [f"{word} {float(metrics[key]):.4g}" for key, word in LOSSES.items() if key in metrics]

    def _close(self) -> None:
        if self._status:
            self._status.stop()
            self._status = None


def _counted(trainer: Trainer) -> str:
    return f"{trainer.global_step}/{trainer.max_steps}"
