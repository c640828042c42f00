"""Previews: the same photos through the run, as files in the run folder and in the run's logger."""

import itertools
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_only

from fst import images
from fst.files import uniquely
from fst.runfolder import PREVIEWS
from fst.tracking.loggers import log_images, pixels

GAP = 8  # pixels between pictures
CELL = 512  # longest edge of a picture on a sheet


class Preview(NamedTuple):
    """A photo and what the run makes of it: float (3, H, W) in [0, 1], clipped where it exceeds that a little."""

    name: str
    photo: torch.Tensor
    result: torch.Tensor


def is_due(step: int) -> bool:
    """Whether there are previews at a step: 1, 2, 5, 10, 20, 50, ... 1000, then every 1000."""
    if step < 1 or step > 1000:
        return step > 0 and step % 1000 == 0
    return str(step).rstrip("0") in ("1", "2", "5")


class Previews(Callback):
    """Ask the module for `previews()` -> list[Preview] at `is_due` steps and at the last one.

    Written under run_dir/previews: `photos/NAME.png` once, `step-000100/NAME.png` (the result alone) and
    `step-000100.png` (a sheet of photo | result, or of photo | results where previews of one photo follow each
    other). Logged as `preview/NAME` (photo | result) at the global step.
    """

    def __init__(self, run_dir: str | Path) -> None:
        self.folder = Path(run_dir) / PREVIEWS
        self._at: int | None = None

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self._at = trainer.global_step  # a resumed run has those already

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, *_: Any) -> None:
        if trainer.global_step != self._at and is_due(trainer.global_step):
            self._make(trainer, module)

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        if trainer.global_step != self._at:
            self._make(trainer, module)

    @rank_zero_only
    def _make(self, trainer: Trainer, module: LightningModule) -> None:
        self._at = trainer.global_step
        with torch.no_grad():
            previews = module.previews()
        here, logged = self.folder / f"step-{self._at:06d}", {}
        for name, preview in zip(_names(previews), previews, strict=True):
            photo, result = pixels(preview.photo), pixels(preview.result)
            original = self.folder / "photos" / f"{name}.png"
            if not original.exists():
                images.write(original, photo)
            images.write(here / f"{name}.png", result)
            logged[f"preview/{name}"] = side_by_side([photo, result])
        rows = [list(of_one) for _, of_one in itertools.groupby(previews, key=lambda preview: id(preview.photo))]
        if rows:
            pictures = [[pixels(row[0].photo), *(pixels(preview.result) for preview in row)] for row in rows]
            images.write(here.with_suffix(".png"), sheet(pictures))
        for logger in trainer.loggers:
            log_images(logger, logged, self._at)


def sheet(pictures: list[list[np.ndarray]]) -> np.ndarray:
    """Rows of photo | results, uint8 (H, W, 3); pairs from four on in two columns. Large ones are reduced."""
    blocks = [side_by_side([_fitted(picture) for picture in row]) for row in pictures]
    columns = 1 if len(blocks) < 4 or len(pictures[0]) > 2 else 2
    rows = [side_by_side(blocks[start : start + columns]) for start in range(0, len(blocks), columns)]
    return side_by_side([row.transpose(1, 0, 2) for row in rows]).transpose(1, 0, 2).copy()


def side_by_side(pictures: list[np.ndarray]) -> np.ndarray:
    """uint8 (H, W, 3) pictures in a row, tops aligned, white between and below them."""
    height = max(picture.shape[0] for picture in pictures)
    width = sum(picture.shape[1] for picture in pictures) + GAP * (len(pictures) - 1)
    canvas = np.full((height, width, 3), 255, np.uint8)
    left = 0
    for picture in pictures:
        canvas[: picture.shape[0], left : left + picture.shape[1]] = picture
        left += picture.shape[1] + GAP
    return canvas


def _fitted(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    return images.resize(picture, images.fit_long_edge(height, width, min(CELL, max(height, width))))


def _names(previews: list[Preview]) -> list[str]:
    """Names fit for files and metric keys, each once: "a b/c" becomes "a_b_c", its twin "a_b_c-2"."""
    return uniquely(re.sub(r"[^\w.-]+", "_", preview.name).strip("._") or "photo" for preview in previews)
