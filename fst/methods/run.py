"""A run from config to result: build the parts, fit with tracking, say where things are."""

from __future__ import annotations

import contextlib
import logging
import shlex
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from fst import data as photo_data
from fst import images, runfolder
from fst.config.replay import differences
from fst.config.schema import AUTO
from fst.data.paintings import SWATCHES, located, painting
from fst.errors import UserError
from fst.files import shown
from fst.losses.perceptual import PerceptualLoss
from fst.methods import assemble, fast
from fst.methods.checkpoints import Checkpoints
from fst.methods.feedforward import FeedForwardStyleTransfer
from fst.system import keep_memory
from fst.tracking import build_logger, callbacks, finish, log_painting, run_metadata, write_run


def feedforward(config: DictConfig, run_dir: Path) -> None:
    """Train a network on a style, export the style file and paint a photo with it.

    Raises:
        UserError: whatever the user can put right.
        SystemExit: 130 or 143 when a signal ended the run, after saving.
    """
    prepare()
    config = with_painting(config)
    pl.seed_everything(config.seed, verbose=False)
    accelerator = _accelerator(config.trainer.accelerator)
    precision = fast.choose_precision(config.trainer.precision, accelerator)
    style = painting(config.style)
    criterion = assemble.criterion(config, style, precision=precision)
    config = with_style_weight(config, criterion)
    data = photo_data.build(OmegaConf.to_object(config.data), seed=config.seed)
    data.prepare_data()
    module = assemble.feedforward(config, criterion, data)
    compiled = fast.choose_compile(
        config.compile,
        config.trainer.max_steps,
        accelerator=accelerator,
        full_resolution=module.network.full_resolution,
    )
    if compiled:
        print("compiling the network: the first step takes up to a minute longer (compile=false does without)")
        module.compile_network()
    settings = resolved(config, data=data.name, precision=precision, compile=compiled)
    checkpoints = Checkpoints(run_dir, config.trainer.checkpoint_every_n_steps)
    with tracked(config, run_dir, settings, run_name(config)) as logger:
        log_painting(logger, run_dir, style, config.style.title)
        trainer = _trainer(config, precision, logger, checkpoints, run_dir)
        trainer.fit(module, data, ckpt_path=checkpoints.path if config.resume else None)
    _end(config, module, checkpoints, run_dir)


def with_painting(config: DictConfig) -> DictConfig:
    """The config with the swatch named that stands in for a painting, if one does: a rerun takes the same."""
    file = located(config.style)
    return OmegaConf.merge(config, {"style": {"image": str(file)}}) if file.parent == SWATCHES else config


def with_style_weight(config: DictConfig, criterion: PerceptualLoss) -> DictConfig:
    """The config with the number that `loss.style_weight=auto` became, in one line."""
    if config.loss.style_weight != AUTO:
        return config
    rank_zero_only(print)(f"loss.style_weight=auto is {criterion.style_weight:g} for this painting")
    return OmegaConf.merge(config, {"loss": {"style_weight": criterion.style_weight}})


@contextlib.contextmanager
def tracked(config: DictConfig, run_dir: Path, settings: dict, name: str) -> Iterator[Logger | None]:
    """The run's files and logger; closed at the end, as failed when an error passes through."""
    write_run(run_dir, settings)
    logger = build_logger(
        OmegaConf.to_object(config.logger), run_dir, name=name, settings=settings, resume=config.resume is not None
    )
    try:
        yield logger
    except BaseException as error:
        ended = runfolder.FAILED if isinstance(error, Exception) else runfolder.STOPPED
        rank_zero_only(runfolder.write_state)(run_dir, ended)
        finish(logger, failed=True)
        raise
    finish(logger)


@rank_zero_only
def say_what_differs(earlier: str) -> None:
    """Warn where a run cannot be the same as the earlier one that it repeats, a line each."""
    for line in differences(earlier, run_metadata()):
        print(f"rerun: {line}", file=sys.stderr)


def resolved(config: DictConfig, **choices: object) -> dict:
    """The config as plain values, with what each `auto` became under "resolved"."""
    plain = OmegaConf.to_container(config, resolve=True)
    return {**plain, "resolved": choices}


def run_name(config: DictConfig) -> str:
    """As "gogh johnson style=100000 content=1", or "gogh gatys ..."."""
    loss = config.loss
    painter = config.network.name if config.method.name == "feedforward" else config.method.name
    return f"{config.style.name} {painter} style={loss.style_weight:g} content={loss.content_weight:g}"


def prepare() -> None:
    """Fast memory, and Lightning's hints for developers out of a user's sight."""
    keep_memory()
    for name in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch", "torch"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    warnings.filterwarnings("ignore", module="torch")


def _accelerator(requested: str) -> str:
    """cpu, cuda or mps: what the run will use."""
    if requested == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if requested in ("gpu", "cuda"):
        if not torch.cuda.is_available():
            raise UserError("trainer=gpu, but torch finds no GPU; use trainer=auto or trainer=cpu")
        return "cuda"
    return requested


def _trainer(
    config: DictConfig, precision: str, logger: Logger | None, checkpoints: Checkpoints, run_dir: Path
) -> pl.Trainer:
    trainer = config.trainer
    on_cpu = _accelerator(trainer.accelerator) == "cpu"
    return pl.Trainer(
        accelerator=trainer.accelerator,
        devices=1 if on_cpu and trainer.devices == "auto" else trainer.devices,
        num_nodes=trainer.num_nodes,
        strategy=trainer.strategy,
        precision=precision,
        max_steps=trainer.max_steps,
        max_epochs=-1,
        min_epochs=0,  # or a signal would have to wait for the end of the one endless epoch
        check_val_every_n_epoch=None,
        val_check_interval=trainer.val_check_interval,
        num_sanity_val_steps=0,
        log_every_n_steps=trainer.log_every_n_steps,
        gradient_clip_val=config.trainer.gradient_clip_val,
        deterministic=trainer.deterministic,
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        logger=logger or False,
        callbacks=[*callbacks(OmegaConf.to_object(config.logger), run_dir), checkpoints],
        default_root_dir=run_dir,
    )


@rank_zero_only
def _end(config: DictConfig, module: FeedForwardStyleTransfer, checkpoints: Checkpoints, run_dir: Path) -> None:
    """Paint the photo asked for and say where things are; exit by the signal that came."""
    folder = shown(run_dir)
    if checkpoints.stopped is not None:
        print(f"stopped at step {module.global_step}; go on with:\n  python train.py resume={shlex.quote(folder)}")
        raise SystemExit(128 + checkpoints.stopped)
    sheets = sorted((run_dir / runfolder.PREVIEWS).glob("step-*.png"))
    pictures = [_paint(config, module, run_dir)] if config.content else sheets[-1:]
    for picture in pictures:
        print(f"picture     {shown(picture)}")
    print(f"style file  {shown(checkpoints.style_path)}")
    print(f"run folder  {folder}   (previews/ has pictures of every stage)")
    print(f"next        python infer.py source=PHOTO style={shlex.quote(shown(checkpoints.style_path))}")


def _paint(config: DictConfig, module: FeedForwardStyleTransfer, run_dir: Path) -> Path:
    photo = images.read(config.content)
    network = module.network.eval()
    with torch.inference_mode():
        painted = network(images.to_tensor(photo).to(module.device))
    return images.write(run_dir / f"{Path(config.content).stem}-{config.style.name}.jpg", images.to_pixels(painted))
