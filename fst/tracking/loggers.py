"""The run's logger, W&B's or TensorBoard's: one of Lightning's, set up from the config; and what is handed to it.

A picture becomes uint8 here and nowhere else: wandb.Image shows a float image in [0, 1] as black.
"""

import dataclasses
import os
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import torch
import wandb
from PIL import Image
from pytorch_lightning.loggers import Logger, TensorBoardLogger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only
from rich.console import Console

from fst import images
from fst.config.schema import AUTO, LoggerConfig
from fst.errors import UserError
from fst.files import shown
from fst.runfolder import PAINTING
from fst.stylefile import StyleInfo
from fst.tracking.metadata import CHECKOUT, git_state
from fst.tracking.wandb_mode import decide

STEP = "trainer/global_step"  # Lightning's name for it in W&B


def build_logger(config: LoggerConfig, run_dir: Path, *, name: str, settings: dict[str, Any]) -> Logger | None:
    """Start tracking, in `run_dir`/wandb or /tensorboard; None for logger=none: give the Trainer `logger or False`.

    A W&B run says in one printed line where it is. All of an offline run's files are in run_dir/wandb, so that a copied
    folder can be looked at whole; `wandb sync` finds artifacts where they were first written, so sync before moving it.

    Args:
        config: `conf/logger/`; mode=online without a key or a server, or a run that W&B does not take, is a UserError.
        run_dir: the run's folder.
        name: the run's name, where `config.run_name` is None.
        settings: the composed config as a dict; one that resumes goes on with the W&B run that run_dir holds.
    """
    if config.name == "none":
        return None
    if config.name == "wandb":
        return _wandb(config, run_dir, config.run_name or name, settings)
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


def pixels(image: torch.Tensor | np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) of a float tensor (3, H, W) or (1, 3, H, W) in [0, 1] (clipped), or of such an array itself."""
    return images.to_pixels(image) if isinstance(image, torch.Tensor) else image


@rank_zero_only
def log_painting(
    logger: Logger | None, run_dir: Path, painting: np.ndarray, title: str | None = None, number: int = 1
) -> None:
    """Keep a style image, uint8 (H, W, 3), as the run uses it, as RUN/painting.png, and log it under "style".

    From the second of several paintings on, the names are painting-2.png and "style/2". A W&B run that goes on has them
    already, and its steps must not begin at 0 again.
    """
    name = PAINTING if number == 1 else PAINTING.replace(".", f"-{number}.")
    images.write(run_dir / name, painting)
    if isinstance(logger, WandbLogger) and logger.experiment.settings.resume:
        return
    log_images(logger, {"style" if number == 1 else f"style/{number}": painting}, step=0, caption=title)


@rank_zero_only
def log_images(
    logger: Logger | None,
    pictures: dict[str, torch.Tensor | np.ndarray],
    step: int | None = None,
    caption: str | None = None,
) -> None:
    """Log pictures by key, as "preview/bridge", to W&B as one row of its history, or to TensorBoard.

    They are what `pixels` takes; `step` is the trainer's global step; W&B shows the caption under each.
    """
    if isinstance(logger, WandbLogger):
        shown = {key: wandb.Image(Image.fromarray(pixels(of)), caption=caption) for key, of in pictures.items()}
        logger.log_metrics(shown, step)
    elif isinstance(logger, TensorBoardLogger):
        for key, image in pictures.items():
            logger.experiment.add_image(key, pixels(image), step, dataformats="HWC")


@rank_zero_only
def log_style_file(logger: Logger | None, path: str | Path, info: StyleInfo) -> None:
    """Log a style file to W&B as an artifact of type "style", with what it says of itself as metadata.

    The artifact is named after the style and the run, as "gogh-1a2b3c4d" ("gogh-hokusai-1a2b3c4d" of a run of both: W&B
    takes no other signs), so that its aliases `latest` and `step-N` (where `info.training` has "steps") speak of one
    run. Each call stages a copy of the file in the run folder: meant for a run's end and its milestones rather than for
    every checkpoint. Other loggers take no files.
    """
    if not isinstance(logger, WandbLogger):
        return
    name = re.sub(r"[^\w.-]+", "-", info.name, flags=re.ASCII)[:100].strip("-") or "style"
    artifact = wandb.Artifact(f"{name}-{logger.experiment.id}", type="style", metadata=dataclasses.asdict(info))
    artifact.add_file(str(path), skip_cache=True)
    steps = info.training.get("steps")
    logger.experiment.log_artifact(artifact, aliases=["latest", *([f"step-{steps}"] if steps is not None else [])])


def _wandb(config: LoggerConfig, run_dir: Path, name: str, settings: dict[str, Any]) -> WandbLogger:
    if rank_zero_only.rank:
        return WandbLogger(save_dir=run_dir, project=config.project)  # only the first process has a run
    earlier = _earlier_run(run_dir) if settings.get("resume") else None
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
