"""Checkpoints every N steps, and on Ctrl-C, SIGTERM and a closed terminal; the result so far beside each."""

import contextlib
import signal
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import TorchCheckpointIO

from fst.errors import UserError
from fst.methods.method import Method
from fst.runfolder import CHECKPOINT, check_checkpoint
from fst.system import handling
from fst.tracking.measures import is_last

KEYS = {"state_dict", "global_step", "loops", "optimizer_states", "lr_schedulers", "pytorch-lightning_version"}


class CheckedFiles(TorchCheckpointIO):
    """Lightning's checkpoint files; one that is damaged, or no run's, is said in a line."""

    def load_checkpoint(self, path: Any, *args: Any, **how: Any) -> dict[str, Any]:
        check_checkpoint(path)
        try:
            found = super().load_checkpoint(path, *args, **how)
        except Exception:  # the zip is whole, so it was made by another program, or to do harm
            found = None
        if not isinstance(found, dict) or KEYS - found.keys():
            raise UserError(f"{path} is not the checkpoint of a run: begin anew with rerun={Path(path).parents[1]}")
        return found


class Checkpoints(pl.Callback):
    """Keep RUN/checkpoints/last.ckpt and the method's result; both appear whole or not at all.

    The first Ctrl-C, SIGTERM or SIGHUP lets the step finish, saves, and ends the fit; a second one ends at once.
    `stopped` is the signal that came, or None.
    """

    def __init__(self, run_dir: Path, every: int, method: Method) -> None:
        self.path = run_dir / CHECKPOINT
        self.every = every
        self.method = method
        self.stopped: signal.Signals | None = None
        self._beside = self.path.with_suffix(".writing")
        self._step = -1  # of the last one written, which may wait for its place
        self._waits = False
        self._signals = contextlib.ExitStack()

    @property
    def wrote(self) -> bool:
        """Whether there was a step to train."""
        return self._step >= 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # Here, after Lightning has put a handler of its own for SIGTERM, which would end the run with status 0.
        self._signals.enter_context(handling(self._stop))

    def teardown(self, *_: object, **stage: object) -> None:
        self._signals.close()

    on_exception = teardown

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: object) -> None:
        # Lightning's own count of when to log is one ahead in a run that had ended and is trained further.
        trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step
        self._place(trainer)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: object) -> None:
        # A signal may reach the processes of a run at different steps; they have to stop after the same one.
        if trainer.strategy.reduce_boolean_decision(self.stopped is not None, all=False):
            trainer.should_stop = True
        validates = trainer.enable_validation and trainer.global_step % trainer.val_check_batch == 0
        if self.stopped is None and (validates or is_last(trainer, trainer.global_step)):
            return  # written after it, and after the last previews: a run killed in between would go on without them
        if trainer.should_stop or trainer.global_step % self.every == 0:
            self._write(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.global_step % self.every == 0 and not is_last(trainer, trainer.global_step):
            self._write(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._write(trainer)
        self._place(trainer)

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict) -> None:
        """Raise UserError rather than replace what was good: a step with a finite loss may end in NaN."""
        for name, values in checkpoint["state_dict"].items():
            if not torch.isfinite(values).all():
                raise UserError(
                    f"after step {trainer.global_step} {name} is not finite, so nothing was written; "
                    "the usual causes: a learning rate or a loss weight too high"
                )

    def _write(self, trainer: pl.Trainer) -> None:
        """Write the checkpoint of the step that the run is at, unless that was done, beside its place."""
        if self._step == trainer.global_step:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            trainer.save_checkpoint(self._beside)
        except (OSError, RuntimeError) as error:  # torch's writer reports a full disk as RuntimeError
            self._beside.unlink(missing_ok=True)
            raise UserError(f"cannot write checkpoint {self.path}: {error}".splitlines()[0]) from None
        self._step, self._waits = trainer.global_step, True

    def _place(self, trainer: pl.Trainer) -> None:
        """Put what was written into its place, and the result beside it.

        Lightning wants a checkpoint written at a step's end, and logs the step's numbers after that: a run that was
        killed in between would go on without them.
        """
        if self._waits and trainer.is_global_zero:
            try:
                self._beside.replace(self.path)
            except OSError as error:
                raise UserError(f"cannot write checkpoint {self.path}: {error}") from None
            self.method.write_result()
        self._waits = False

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.stopped is not None:
            raise SystemExit(128 + number)  # a KeyboardInterrupt would become Lightning's own end, with status 1
        self.stopped = signal.Signals(number)
        print("\nstopping after this step; once more to stop at once", flush=True)
