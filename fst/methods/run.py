"""The only trainer: trains what a config describes, tracked and resumable, and prints where the results are."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import shlex
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytorch_lightning as pl
from omegaconf import OmegaConf
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from fst import images, runfolder
from fst.config.replay import difference, differences
from fst.config.schema import TrainConfig
from fst.data import workers
from fst.errors import UserError
from fst.files import shown
from fst.methods import method as methods
from fst.methods.checkpoints import CheckedFiles, Checkpoints
from fst.methods.method import Method
from fst.methods.parts import accelerator
from fst.system import keep_memory, sigterm_kept
from fst.tracking import callbacks
from fst.tracking.loggers import build_logger, finish, log_painting
from fst.tracking.metadata import run_metadata, write_run
from fst.values import literal


def run(config: TrainConfig, run_dir: Path) -> Method:
    """Train what the config's method makes, in a run folder, and say where things are.

    Every `auto` in the config is replaced by what was decided.

    Raises:
        UserError: a value that makes no sense, a file that cannot be read, a loss that is not finite.
        SystemExit: 129, 130 or 143 when a signal ended the run, after saving.
    """
    quiet()
    keep_memory()
    if config.rerun is not None:
        _say_what_differs(config.rerun)
    method = methods.build(config.method)
    method.check(config)
    if config.content is not None:
        images.read(config.content)  # what is no image is said now, not when the run ends and paints it
    pl.seed_everything(config.seed, verbose=False)
    method.prepare(config, run_dir)
    checkpoints = Checkpoints(run_dir, config.trainer.checkpoint_every_n_steps, method)
    settings = dataclasses.asdict(config)
    if config.resume:
        steps = method.trainer_settings().get("max_steps", config.trainer.max_steps)
        _check_left(checkpoints.path, steps, settings, _further(config, steps))
    with tracked(config, run_dir, settings, method.run_name()) as logger:
        for number, (title, painting) in enumerate(method.paintings, start=1):
            log_painting(logger, run_dir, painting, title, number)
        trainer = _trainer(config, method, logger, checkpoints, run_dir)
        try:
            with sigterm_kept():  # or a sweep's next job would not hear it until its first step
                trainer.fit(method.module, method.data, ckpt_path=checkpoints.path if config.resume else None)
        except SystemExit as end:  # Lightning's own before the first step: 1 on Ctrl-C, 0 on SIGTERM
            raise KeyboardInterrupt if end.code == 1 else SystemExit(end.code or 143) from None
        except (RuntimeError, EOFError, ConnectionError) as error:
            workers.check_alive(error)
            raise
        if config.resume and not checkpoints.wrote:
            _say_nothing_is_left(config, trainer)
        if checkpoints.stopped is None and trainer.is_global_zero:
            method.finish()
            method.write_result()  # once more, with what the last validation says
            runfolder.write_state(run_dir, runfolder.FINISHED)  # also where nothing was left to train
            if logger is not None:
                method.log_result(logger)
    _end(method, checkpoints, run_dir)
    return method


@contextlib.contextmanager
def tracked(config: TrainConfig, run_dir: Path, settings: dict, name: str) -> Iterator[Logger | None]:
    """The run's files and logger; closed at the end, as failed when an error passes through."""
    with contextlib.nullcontext() if rank_zero_only.rank else runfolder.held(run_dir):
        write_run(run_dir, settings)
        logger = None
        try:
            logger = build_logger(config.logger, run_dir, name=name, settings=settings)
            yield logger
        except BaseException as error:
            ended = runfolder.FAILED if isinstance(error, Exception) else runfolder.STOPPED
            rank_zero_only(runfolder.write_state)(run_dir, ended)
            finish(logger, failed=True)
            raise
        finish(logger)


def quiet() -> None:
    """Keep Lightning's and torch's hints for developers out of a user's sight."""
    for name in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch", "torch"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    warnings.filterwarnings("ignore", module="torch")


def _trainer(
    config: TrainConfig, method: Method, logger: Logger | None, checkpoints: Checkpoints, run_dir: Path
) -> pl.Trainer:
    given = {key: value for key, value in vars(config.trainer).items() if key != "checkpoint_every_n_steps"}
    if given["devices"] == "auto" and (given["strategy"] == "auto" or accelerator(given["accelerator"]) == "cpu"):
        given["devices"] = 1
    settings = {
        **given,
        "max_epochs": -1,
        "min_epochs": 0,  # or a signal would have to wait for the end of the one endless epoch
        "check_val_every_n_epoch": None,
        "num_sanity_val_steps": 0,
        "use_distributed_sampler": False,
        "enable_checkpointing": False,
        "enable_model_summary": False,
        "enable_progress_bar": False,  # tracking's callbacks have one
        "logger": logger or False,
        "callbacks": [*callbacks(config.logger, run_dir), *method.callbacks, checkpoints],
        "default_root_dir": run_dir,
        "plugins": [CheckedFiles()],
    }
    settings |= method.trainer_settings()
    try:
        return pl.Trainer(**settings)
    except (MisconfigurationException, TypeError) as error:  # as of GPUs, where a run of another machine is repeated
        asked = f"trainer.accelerator={config.trainer.accelerator} trainer.devices={config.trainer.devices}"
        raise UserError(f"{asked} does not go with this machine: {' '.join(str(error).split())}") from None


@rank_zero_only
def _say_what_differs(earlier: str) -> None:
    """Warn where a run cannot be the same as the earlier one that it repeats, a line each."""
    for line in differences(earlier, run_metadata()):
        print(f"rerun: {line}", file=sys.stderr)


def _check_left(checkpoint: Path, steps: int, settings: dict, further: str) -> None:
    """Raise UserError where a run is at its last step and would only be said to have learnt something else."""
    folder = checkpoint.parents[1]
    found = difference(folder, OmegaConf.create(literal(settings)))
    if found and (step := CheckedFiles().load_checkpoint(checkpoint)["global_step"]) >= steps:
        said = f"nothing is left to train at step {step}, and {shown(folder)} was trained with {found}"
        raise UserError(f"{said}: leave that out, or begin anew with rerun={shown(folder)}; {further}")


@rank_zero_only
def _say_nothing_is_left(config: TrainConfig, trainer: pl.Trainer) -> None:
    further = _further(config, trainer.max_steps)
    print(f"nothing was left to train: the run is at step {trainer.global_step}, its last; {further}")


def _further(config: TrainConfig, steps: int) -> str:
    """How a run whose length is so many steps is trained further."""
    bound = "trainer.max_steps" if steps == config.trainer.max_steps else "method.iterations"
    return f"a larger {bound} trains it further"


@rank_zero_only
def _end(method: Method, checkpoints: Checkpoints, run_dir: Path) -> None:
    """Say where things are, or how to go on; exit by the signal that came."""
    if checkpoints.stopped is not None:
        step = method.module.global_step
        print(f"stopped at step {step}; what there is so far: {shown(method.result)}; go on with:")
        print(f"  python train.py resume={shlex.quote(shown(run_dir))}")
        raise SystemExit(128 + checkpoints.stopped)
    for word, where in method.epilogue().items():
        print(f"{word:<11} {where}")
