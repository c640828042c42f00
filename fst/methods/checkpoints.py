"""Checkpoints every N steps, on Ctrl-C and on SIGTERM; a style file beside each."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType

import pytorch_lightning as pl

from fst import stylefile
from fst.errors import UserError
from fst.runfolder import CHECKPOINT, STYLE
from fst.tracking import log_style_file


class Checkpoints(pl.Callback):
    """Keep RUN/checkpoints/last.ckpt and RUN/style.safetensors; both appear whole or not at all.

    The first Ctrl-C or SIGTERM lets the step finish, saves, and ends the fit; a second one ends at once. `stopped`
    is the signal that came, or None.

    Args:
        run_dir: the run's folder.
        every: steps between checkpoints.
    """

    def __init__(self, run_dir: Path, every: int) -> None:
        self.path = run_dir / CHECKPOINT
        self.style_path = run_dir / STYLE
        self.every = every
        self.stopped: signal.Signals | None = None
        self._saved_step = -1
        self._handlers: dict[signal.Signals, object] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # Here, after Lightning has put a handler of its own for SIGTERM, which would end the run with status 0.
        for number in (signal.SIGINT, signal.SIGTERM):
            self._handlers[number] = signal.signal(number, self._stop)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._restore_handlers()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._restore_handlers()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: object) -> None:
        # A signal may reach the processes of a run at different steps; they have to stop after the same one.
        if trainer.strategy.reduce_boolean_decision(self.stopped is not None, all=False):
            trainer.should_stop = True
        if trainer.should_stop or trainer.global_step % self.every == 0:
            self.save(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.save(trainer, pl_module)
        if trainer.is_global_zero:
            self.write_result(pl_module)  # once more: the last validation comes after the last step's checkpoint
            if pl_module.logger is not None:
                self.log_result(pl_module)

    def save(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write checkpoint and style file for the step the run is at, unless that was done."""
        if self._saved_step == trainer.global_step:
            return
        beside = self.path.with_suffix(".writing")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            trainer.save_checkpoint(beside)
            if trainer.is_global_zero:
                beside.replace(self.path)
        except (OSError, RuntimeError) as error:  # torch's writer reports a full disk as RuntimeError
            beside.unlink(missing_ok=True)
            raise UserError(f"cannot write checkpoint {self.path}: {error}".splitlines()[0]) from None
        if trainer.is_global_zero:
            self.write_result(pl_module)
        self._saved_step = trainer.global_step

    def write_result(self, pl_module: pl.LightningModule) -> None:
        """Write what the run has made so far: a style file, unless a method makes something else."""
        stylefile.save(self.style_path, pl_module.network, pl_module.style_info())

    def log_result(self, pl_module: pl.LightningModule) -> None:
        """Hand what the run has made to its logger, at the end."""
        log_style_file(pl_module.logger, self.style_path, pl_module.style_info())

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.stopped is not None:
            raise KeyboardInterrupt
        self.stopped = signal.Signals(number)
        print("\nstopping after this step; once more to stop at once", flush=True)

    def _restore_handlers(self) -> None:
        while self._handlers:
            signal.signal(*self._handlers.popitem())
