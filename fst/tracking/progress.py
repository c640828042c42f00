"""The progress line of a run: a live bar in a terminal, a plain line now and then elsewhere."""

from datetime import timedelta
from time import perf_counter
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_only
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

LIVE_SECONDS = 0.5  # between updates: each reads losses, which makes a GPU's queue run empty
PLAIN_SECONDS = 30.0
ESTIMATE_SECONDS = 300.0  # over which speed and time left are estimated
LOSSES = {"train/loss": "loss", "train/content_loss": "content", "train/style_loss": "style"}


class ProgressLine(Callback):
    """Step, speed, time left and losses, from the trainer's global step and its logged metrics.

    Lightning's own bars count the batches of an epoch, and a run is one epoch without end; here a resumed run starts
    where it was. Where standard output is no terminal, a plain line every 30 s instead.
    """

    def __init__(self, console: Console | None = None, plain_seconds: float = PLAIN_SECONDS) -> None:
        self._console = console or Console()
        self._live = self._console.is_interactive or self._console.is_jupyter
        self._every = LIVE_SECONDS if self._live else plain_seconds
        self._bar: Progress | None = None

    @rank_zero_only
    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self._step = self._printed = trainer.global_step
        self._shown = float("-inf")
        self._bar = Progress(
            BarColumn(12),
            TextColumn("{task.description}", markup=False),
            console=self._console,
            refresh_per_second=4,
            speed_estimate_period=ESTIMATE_SECONDS,
            get_time=perf_counter,
            disable=not self._live,
        )
        total = trainer.max_steps if trainer.max_steps > 0 else None
        self._task = self._bar.add_task(f"{_counted(trainer)} first step", total=total, completed=self._step)
        self._bar.start()

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if self._bar is None or trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        self._bar.update(self._task, completed=self._step)
        if perf_counter() - self._shown >= self._every:
            self._show(trainer)

    def on_validation_start(self, trainer: Trainer, module: LightningModule) -> None:
        if self._bar is not None:
            self._bar.update(self._task, description=f"{_counted(trainer)} validation")

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        if self._bar is not None and trainer.global_step != self._printed:
            self._show(trainer)
        self._close()

    def on_exception(self, trainer: Trainer, module: LightningModule, exception: BaseException) -> None:
        self._close()

    def _show(self, trainer: Trainer) -> None:
        self._shown, self._printed = perf_counter(), trainer.global_step
        line = "  ".join([_counted(trainer), *self._state(trainer)])
        self._bar.update(self._task, description=line)
        if not self._live:
            self._console.print(f"step {line}", markup=False, highlight=False, soft_wrap=True)

    def _state(self, trainer: Trainer) -> list[str]:
        """Speed, time left and losses, each where it is known."""
        metrics, task = trainer.callback_metrics, self._bar.tasks[0]
        parts = []
        if "train/images_per_second" in metrics:
            parts.append(f"{float(metrics['train/images_per_second']):.3g} images/s")
        elif task.speed:
            parts.append(f"{1 / task.speed:.3g} s/step" if task.speed < 1 else f"{task.speed:.3g} steps/s")
        if task.time_remaining:
            parts.append(f"{timedelta(seconds=task.time_remaining)} left")
        return parts + [f"{word} {float(metrics[key]):.4g}" for key, word in LOSSES.items() if key in metrics]

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _counted(trainer: Trainer) -> str:
    return f"{trainer.global_step}/{trainer.max_steps}" if trainer.max_steps > 0 else str(trainer.global_step)
