"""A run of the Gatys baseline from config to picture, tracked as any run."""

from __future__ import annotations

import itertools
import shlex
from pathlib import Path

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import Logger

from fst import images
from fst.files import shown
from fst.methods import assemble, run
from fst.methods.checkpoints import Checkpoints
from fst.methods.gatys.film import Film, spaced
from fst.methods.gatys.module import GatysStyleTransfer
from fst.methods.gatys.problem import Problem, problem
from fst.tracking import GradientNorm, callbacks, log_image, log_painting


class PictureCheckpoints(Checkpoints):
    """Checkpoints with the picture so far beside them, at the photo's size and with its metadata.

    Args:
        path: of the picture.
        every: steps between checkpoints.
        metadata: of the photo.
    """

    def __init__(self, path: Path, every: int, metadata: images.Metadata | None) -> None:
        super().__init__(path.parent, every)
        self.picture_path = path
        self.metadata = metadata

    def write_result(self, pl_module: GatysStyleTransfer) -> None:
        images.write(self.picture_path, pl_module.result(), metadata=self.metadata)

    def log_result(self, pl_module: GatysStyleTransfer) -> None:
        log_image(pl_module.logger, "picture", pl_module.picture(), step=pl_module.global_step)
        # Named as a network's validation, so that both methods stand in one table; its photo is all the picture is for.
        losses = {f"val/{name}": value for name, value in pl_module.losses().items()}
        for logger in pl_module.loggers:
            logger.log_metrics(losses, pl_module.global_step)


def gatys(config: DictConfig, run_dir: Path) -> None:
    """Optimise a picture of `config.content` in the style and write it into the run's folder.

    Raises:
        UserError: whatever the user can put right.
        SystemExit: 130 or 143 when a signal ended the run, after saving.
    """
    run.prepare()
    config = run.with_painting(config)
    pl.seed_everything(config.seed, verbose=False)
    inputs = problem(config)
    # Near a minimum L-BFGS compares losses that differ by less than bf16 resolves, so bf16 is for those who ask:
    # after 60 iterations at 96 pixels it was at 11.5 where fp32 was at 11.4, in 68 evaluations instead of 64.
    precision = "32-true" if config.trainer.precision == "auto" else config.trainer.precision
    criterion = assemble.criterion(config, inputs.paintings[0])
    config = run.with_style_weight(config, criterion)
    iterations = min(config.method.iterations, config.trainer.max_steps)
    name = Path(config.content).stem if config.content else "texture"
    module = GatysStyleTransfer(
        criterion,
        inputs,
        config.method,
        iterations=iterations,
        name=name,
        seed=config.seed,
        bf16=precision == "bf16-mixed",
    )
    metadata = images.read_with_metadata(config.content)[1] if config.content else None
    checkpoints = PictureCheckpoints(
        run_dir / f"{name}-{config.style.name}.png", config.trainer.checkpoint_every_n_steps, metadata
    )
    settings = run.resolved(config, precision=precision, size=list(inputs.size))
    settings = {key: value for key, value in settings.items() if key not in ("network", "data")}
    with run.tracked(config, run_dir, settings, f"{run.run_name(config)} {name}") as logger:
        _log_inputs(logger, run_dir, inputs)
        film = _film(config, run_dir, iterations)
        trainer = _trainer(config, logger, iterations, [*film, checkpoints], run_dir)
        resumed = checkpoints.path if config.resume else None
        trainer.fit(module, itertools.repeat(0), ckpt_path=resumed)
    _end(module, checkpoints, film, run_dir)


def _log_inputs(logger: Logger | None, run_dir: Path, inputs: Problem) -> None:
    for number, painting in enumerate(inputs.paintings, 1):
        log_painting(logger, run_dir, painting, number=number)
    if inputs.photo is not None:
        log_image(logger, "content", images.resize(inputs.photo, inputs.size), step=0)


def _film(config: DictConfig, run_dir: Path, iterations: int) -> list[Film]:
    method = config.method
    if not method.animation:
        return []
    steps = spaced(iterations) if method.animation_steps is None else method.animation_steps
    return [Film(run_dir, method.animation, steps)]


def _trainer(
    config: DictConfig, logger: Logger | None, iterations: int, more: list[pl.Callback], run_dir: Path
) -> pl.Trainer:
    # The module logs its gradient's norm itself: the optimiser is given a multiple of the gradient.
    usual = callbacks(OmegaConf.to_object(config.logger), run_dir)
    usual = [callback for callback in usual if not isinstance(callback, GradientNorm)]
    return pl.Trainer(
        accelerator=config.trainer.accelerator,
        devices=1,
        max_steps=iterations,
        max_epochs=-1,
        min_epochs=0,
        limit_val_batches=0,
        log_every_n_steps=min(config.trainer.log_every_n_steps, iterations),
        deterministic=config.trainer.deterministic,
        enable_checkpointing=False,
        enable_model_summary=False,
        logger=logger or False,
        callbacks=[*usual, *more],
        default_root_dir=run_dir,
    )


def _end(module: GatysStyleTransfer, checkpoints: PictureCheckpoints, film: list[Film], run_dir: Path) -> None:
    picture, folder = shown(checkpoints.picture_path), shown(run_dir)
    if checkpoints.stopped is not None:
        print(f"stopped at iteration {module.global_step}; the picture so far is {picture}; go on with:")
        print(f"  python train.py resume={shlex.quote(folder)}")
        raise SystemExit(128 + checkpoints.stopped)
    print(f"picture     {picture}")
    for path in (path for made in film for path in made.films):
        print(f"animation   {shown(path)}")
    print(f"run folder  {folder}   (previews/ has the picture, step by step)")
