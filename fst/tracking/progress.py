"""The progress line of a run: a live bar in a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

from collections import deque
from datetime import timedelta
from time import perf_counter
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

LIVE_SECONDS = 0.5  # between updates: each reads losses, which makes a GPU's queue run empty
PLAIN_SECONDS = 30.0
MARKS = 240  # of step and time, over which the time left is estimated: the last two minutes or more
LOSSES = {"train/loss": "loss", "train/content_loss": "content", "train/style_loss": "style"}


class ProgressLine(ProgressBar):
    """Step, speed, time left and losses, from the trainer's global step and its logged metrics.

    A resumed run starts where it was. Where standard output is no terminal, a plain line every 30 s instead.
    """

    def __init__(self, console: Console | None = None, plain_seconds: float = PLAIN_SECONDS) -> None:
        super().__init__()
        self._console = console or Console()
        self._plain_seconds = plain_seconds
        self._enabled = True
        self._bar: Progress | None = None

    def enable(self) -> None:
        self._enabled = True

    def disable(self) -> None:
        self._enabled = False

    def print(self, *args: Any, **kwargs: Any) -> None:
        """As the built-in, above the bar."""
        if self._enabled:
            self._console.print(*args, markup=False, highlight=False, **kwargs)

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self._marks: deque[tuple[float, int]] = deque(maxlen=MARKS)
        self._shown = float("-inf")
        self._step = self._printed = trainer.global_step
        if self._enabled and (self._console.is_interactive or self._console.is_jupyter):
            texts = [TextColumn(f"{{task.fields[{name}]}}", markup=False) for name in ("step", "state")]
            self._bar = Progress(BarColumn(12), *texts, console=self._console, refresh_per_second=4)
            counts: dict[str, Any] = {"total": _total(trainer), "completed": self._step, "step": _counted(trainer)}
            self._task = self._bar.add_task("", **counts, state="first step")
            self._bar.start()

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if not self._enabled or trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        now = perf_counter()
        if not self._marks or now - self._marks[-1][0] >= LIVE_SECONDS:
            self._marks.append((now, self._step))
        if now - self._shown >= (LIVE_SECONDS if self._bar else self._plain_seconds):
            self._show(trainer)

    def on_validation_start(self, trainer: Trainer, module: LightningModule) -> None:
        if self._bar:
            self._bar.update(self._task, state="validation")

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        if self._enabled and trainer.global_step != self._printed:
            self._show(trainer)
        self._close()

    def on_exception(self, trainer: Trainer, module: LightningModule, exception: BaseException) -> None:
        self._close()

    def teardown(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        self._close()

    def _show(self, trainer: Trainer) -> None:
        self._shown, self._printed = perf_counter(), trainer.global_step
        step, state = _counted(trainer), "  ".join(self._state(trainer))
        if self._bar:
            self._bar.update(self._task, completed=trainer.global_step, step=step, state=state)
        else:
            self._console.print(f"step {step}  {state}", markup=False, highlight=False, soft_wrap=True)

    def _state(self, trainer: Trainer) -> list[str]:
        """Speed, time left and losses, each where it is known."""
        metrics = trainer.callback_metrics
        parts = []
        seconds = self._step_seconds()
        if "train/images_per_second" in metrics:
            parts.append(f"{float(metrics['train/images_per_second']):.3g} images/s")
        elif seconds:
            parts.append(f"{seconds:.3g} s/step" if seconds > 1 else f"{1 / seconds:.3g} steps/s")
        total = _total(trainer)
        if seconds and total is not None and total > trainer.global_step:
            left = timedelta(seconds=round(seconds * (total - trainer.global_step)))
            parts.append(f"{left} left")
        return parts + [f"{word} {float(metrics[key]):.4g}" for key, word in LOSSES.items() if key in metrics]

    def _step_seconds(self) -> float | None:
        """Mean time of a step lately, validation and previews included; None before two are known."""
        if len(self._marks) < 2:
            return None
        (began, first), (ended, last) = self._marks[0], self._marks[-1]
        return (ended - began) / (last - first)

    def _close(self) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None


def _total(trainer: Trainer) -> int | None:
    return trainer.max_steps if trainer.max_steps > 0 else None


def _counted(trainer: Trainer) -> str:
    total = _total(trainer)
    return f"{trainer.global_step}/{total}" if total else str(trainer.global_step)
