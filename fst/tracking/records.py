"""Images and style files into whichever logger a run has.

A picture becomes uint8 here and nowhere else: wandb.Image shows a float image in [0, 1] as black.
"""

import dataclasses
from pathlib import Path

import numpy as np
import torch
import wandb
from PIL import Image
from pytorch_lightning.loggers import Logger, TensorBoardLogger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from fst import images
from fst.runfolder import PAINTING
from fst.stylefile import StyleInfo


def pixels(image: torch.Tensor | np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) of a float tensor (3, H, W) or (1, 3, H, W) in [0, 1] (clipped), or of such an array itself."""
    return images.to_pixels(image) if isinstance(image, torch.Tensor) else image


@rank_zero_only
def log_painting(
    logger: Logger | None, run_dir: Path, painting: np.ndarray, title: str | None = None, number: int = 1
) -> None:
    """Keep a style image, uint8 (H, W, 3), as the run uses it, as RUN/painting.png, and log it under "style".

    From the second of several paintings on, the names are painting-2.png and "style/2".
    """
    name = PAINTING if number == 1 else PAINTING.replace(".", f"-{number}.")
    images.write(run_dir / name, painting)
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

    The artifact is named after the style and the run, as "gogh-1a2b3c4d", so that its aliases `latest` and `step-N`
    (where `info.training` has "steps") speak of one run. Each call stages a copy of the file in the run folder: meant
    for a run's end and its milestones rather than for every checkpoint. Other loggers take no files.
    """
    if not isinstance(logger, WandbLogger):
        return
    artifact = wandb.Artifact(f"{info.name}-{logger.experiment.id}", type="style", metadata=dataclasses.asdict(info))
    artifact.add_file(str(path), skip_cache=True)
    steps = info.training.get("steps")
    logger.experiment.log_artifact(artifact, aliases=["latest", *([f"step-{steps}"] if steps is not None else [])])
