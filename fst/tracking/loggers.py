"""The run's logger, W&B's or TensorBoard's: one of Lightning's, set up from the config."""

import os
import shlex
from pathlib import Path
from typing import Any

import wandb
from pytorch_lightning.loggers import Logger, TensorBoardLogger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only
from rich.console import Console

from fst.config.schema import AUTO, LoggerConfig
from fst.errors import UserError
from fst.files import shown
from fst.tracking.metadata import CHECKOUT, git_state
from fst.tracking.wandb_mode import decide

STEP = "trainer/global_step"  # Lightning's name for it in W&B


def build_logger(
    config: LoggerConfig, run_dir: Path, *, name: str, settings: dict[str, Any], resume: bool = False
) -> Logger | None:
    """Start tracking, in `run_dir`/wandb or /tensorboard; None for logger=none: give the Trainer `logger or False`.

    A W&B run says in one printed line where it is. All of an offline run's files are in run_dir/wandb, so that a copied
    folder can be looked at whole; `wandb sync` finds artifacts where they were first written, so sync before moving it.

    Args:
        config: `conf/logger/`; mode=online without a key or a server, or a run that W&B does not take, is a UserError.
        run_dir: the run's folder.
        name: the run's name, where `config.run_name` is None.
        settings: the composed config as a dict.
        resume: go on with the W&B run that run_dir already holds, if it does.
    """
    if config.name == "none":
        return None
    if config.name == "wandb":
        return _wandb(config, run_dir, config.run_name or name, settings, resume)
    logger = TensorBoardLogger(run_dir, name="tensorboard", version="", default_hp_metric=False)
    _say(f"TensorBoard: look with  tensorboard --logdir {shlex.quote(shown(run_dir))}")
    logger.log_hyperparams(settings)
    return logger


def finish(logger: Logger | None, *, failed: bool = False) -> None:
    """Close the run, in W&B as failed or not, so that the next one in this process is its own. Safe to call twice."""
    if isinstance(logger, WandbLogger):
        if wandb.run is not None:
            wandb.finish(exit_code=int(failed))
    elif logger is not None:
        logger.finalize("failed" if failed else "success")


def _wandb(config: LoggerConfig, run_dir: Path, name: str, settings: dict[str, Any], resume: bool) -> WandbLogger:
    if rank_zero_only.rank:
        return WandbLogger(save_dir=run_dir, project=config.project)  # only the first process has a run
    earlier = _earlier_run(run_dir) if resume else None
    folder = (run_dir / "wandb").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    # What W&B stages (artifacts, tables, its own logs) goes into the run folder instead of the user's.
    os.environ |= {"WANDB_DATA_DIR": str(folder), "WANDB_CACHE_DIR": str(folder / "cache")}
    wandb.setup(settings=wandb.Settings(silent=True))
    mode, why = decide(config.mode)
    about: dict[str, Any] = {
        "dir": run_dir.resolve(),
        "project": config.project,
        "entity": config.entity,
        "name": name,
        "group": config.group,
        "tags": list(config.tags),
        "notes": config.notes,
        "config": settings,
        "id": earlier,
        "resume": "allow" if earlier else None,
        "reinit": "finish_previous",
        "settings": _settings(),
    }
    try:
        run = wandb.init(mode=mode, **about)
    except (wandb.errors.Error, ValueError) as error:  # ValueError: pydantic's, of a tag that is too long, say
        why = error.errors()[0]["msg"] if hasattr(error, "errors") else str(error).splitlines()[0]
        if mode != "online" or config.mode != AUTO:
            raise UserError(f"W&B does not take the run: {why}; logger=none does without W&B") from None
        mode, run = "offline", wandb.init(mode="offline", **about)
    run.define_metric(STEP)
    run.define_metric("*", step_metric=STEP, step_sync=True)
    if mode == "online":
        _say(f"W&B: {run.url}")
    elif mode == "offline":
        path = shlex.quote(shown(Path(run.dir).parent))
        _say(f"W&B offline{f' ({why})' if why else ''}: look with  wandb leet {path}  sync with  wandb sync {path}")
    return WandbLogger(experiment=run, save_dir=run_dir, project=config.project)


def _settings() -> wandb.Settings:
    # A live progress bar redraws itself several times a second: captured, it would be most of the run's log.
    console = "off" if Console().is_interactive else "wrap"
    root = str(CHECKOUT) if git_state() else None
    return wandb.Settings(silent=True, console=console, init_timeout=30, git_root=root)


def _earlier_run(run_dir: Path) -> str | None:
    """The id of the newest W&B run in a run folder."""
    runs = sorted((run_dir / "wandb").glob("*run-*/run-*.wandb"), key=lambda path: path.stat().st_mtime)
    return runs[-1].stem.removeprefix("run-") if runs else None


@rank_zero_only
def _say(line: str) -> None:
    print(line, flush=True)
