"""The LightningDataModule: endless seeded training batches, held-out photos with fixed crops."""

import functools
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_only
from torch.utils.data import DataLoader, Dataset

from fst.config.schema import AUTO, DataConfig
from fst.data import workers as worker_processes
from fst.data.archives import ARCHIVES, Archive
from fst.data.order import EndlessBatches
from fst.data.procedural import DrawnImages, held_out_drawings
from fst.data.training_photos import Held, Photos, TrainingPhotos, hold_out, split
from fst.errors import UserError
from fst.files import expanded
from fst.system import data_workers

log = logging.getLogger(__name__)


class PhotoData(pl.LightningDataModule):
    """Batches are float32 (B, 3, size, size) RGB in [0, 1]; until they are on their device they are uint8.

    Training has no length: the trainer counts steps, not epochs (`check_val_every_n_epoch=None`), and leaves the
    order to this module (`use_distributed_sampler=False`). Every process validates on all held-out photos, so that
    the numbers are the same on any number of devices; their crops stay in memory (3·size² bytes each).

    Args:
        config: where its name is auto, `name` is what was chosen, and that is printed.
        seed: sample i is a pure function of (seed, i).
        room: pixels more, across and down, that loss terms ask for in training.
    """

    def __init__(self, config: DataConfig, *, seed: int, room: int = 0) -> None:
        super().__init__()
        self.config, self.seed, self.room = config, seed, room
        self.name = _chosen(config) if config.name == AUTO else config.name
        self.folders, self.archives = _places(config, self.name)
        self._warned = False
        if self.folders and self.folders[0].is_dir():
            _ = self._photos  # an empty folder is said now, before anything else is loaded
        if config.name == AUTO:
            drawn = "images drawn on the fly; data=coco or data=folder data.root=DIR takes photos"
            source = f"photos in {self.folders[0]}" if self.folders else drawn
            rank_zero_only(print)(f"data: {self.name}, {source}")

    def prepare_data(self) -> None:
        for archive in self.archives:
            archive.obtain()

    def setup(self, stage: str | None = None) -> None:
        _ = self._split  # and see that there are photos left to train on

    def train_dataloader(self) -> DataLoader:
        """Endless batches, from the trainer's step on: a resumed run sees what it would have seen."""
        trainer, workers = self.trainer, self.config.workers
        if workers is None:
            workers = data_workers(trainer.num_devices if trainer else 1)
        return DataLoader(
            self._training_samples(),
            batch_sampler=EndlessBatches(
                self.config.batch_size,
                rank=trainer.global_rank if trainer else 0,
                world=trainer.world_size if trainer else 1,
                step=lambda: trainer.global_step if trainer else 0,
            ),
            num_workers=workers,
            collate_fn=worker_processes.collate,
            worker_init_fn=worker_processes.start,
            persistent_workers=workers > 0,
            pin_memory=self._on_cuda,
            generator=torch.Generator().manual_seed(self.seed),  # its own: the training's random state is untouched
        )

    def val_dataloader(self) -> DataLoader:
        crops = [crop for _, crop in self._split[0]]
        generator = torch.Generator().manual_seed(self.seed)
        return DataLoader(crops, batch_size=self.config.batch_size, pin_memory=self._on_cuda, generator=generator)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> torch.Tensor:
        """uint8 to float32 in [0, 1], on the device; the first photo that could not be read is said here."""
        if isinstance(batch, UserError):
            raise batch
        if not self._warned and self.skipped:
            self._warned = True
            first = self._photos.paths[int(self._photos.unreadable.argmax())]
            log.warning(
                "image %s cannot be read: another photo takes its place; later ones are replaced silently", first
            )
        return batch.float().div_(255)

    def preview_photos(self, count: int) -> list[tuple[str, torch.Tensor]]:
        """Up to `count` held-out photos: (name, float32 (3, size, size) in [0, 1])."""
        return [(name, crop.float().div(255)) for name, crop in self._split[0][:count]]

    @property
    def skipped(self) -> int:
        """How many photo files could not be read so far, worker processes included; each is counted once."""
        return self._photos.skipped if "_photos" in vars(self) else 0

    @functools.cached_property
    def _photos(self) -> Photos:
        return Photos(self.folders[0])

    @functools.cached_property
    def _split(self) -> tuple[Held, list[int]]:
        """Held-out crops, and the indices of the photos to train on (none for drawn images)."""
        count, size = self.config.val_images, self.config.size
        if not self.folders:
            return held_out_drawings(count, size), []
        for folder in self.folders[1:]:
            if folder.is_dir():
                return hold_out(Photos(folder), count, size)[0], list(range(len(self._photos)))
        return split(self._photos, count, size)

    def _training_samples(self) -> Dataset:
        config, size = self.config, self.config.size + self.room
        if not self.folders:
            return DrawnImages(size, seed=self.seed)
        shorts = tuple(max(size, round(config.size * scale)) for scale in config.scale)
        return TrainingPhotos(self._photos, self._split[1], size=size, shorts=shorts, flip=config.flip, seed=self.seed)

    @property
    def _on_cuda(self) -> bool:
        return self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"


def _chosen(config: DataConfig) -> str:
    """Auto: a folder that is named, else what the store has, COCO first, else drawn images."""
    if config.root is not None:
        return "folder"
    # Who asks for a download without saying of what gets the smaller of the two.
    otherwise = "imagenet_sample" if config.download else "procedural"
    return next((name for name, archives in ARCHIVES.items() if archives[0].place.is_dir()), otherwise)


def _places(config: DataConfig, name: str) -> tuple[list[Path], Sequence[Archive]]:
    """The folders to train on and, of COCO, to hold out from, and what can fill them; none for drawn images."""
    root = None if config.root is None else expanded(config.root)
    if name not in ARCHIVES:
        return ([root] if name == "folder" else []), ()
    archives = ARCHIVES[name]
    if root is None:
        folders, missing = [archive.place for archive in archives], archives[0].missing()
    else:
        folders = [root / archive.place.name for archive in archives]
        missing = (
            f"data={name} wants a folder {folders[0].name} in data.root={config.root}, and there is none; "
            f"for any other tree of photos use data=folder"
        )
    fillers = archives if root is None and config.download else ()
    if not folders[0].is_dir() and not fillers:
        raise UserError(missing)
    return folders, fillers
