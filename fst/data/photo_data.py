"""The LightningDataModule: endless seeded training batches, held-out photos with fixed crops."""

import functools
import logging
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_only
from torch.utils.data import DataLoader, Dataset

from fst.config.schema import DataConfig
from fst.data import sources
from fst.data import workers as worker_processes
from fst.data.order import EndlessBatches
from fst.data.procedural import DrawnImages, held_out_drawings
from fst.data.training_photos import Photos, TrainingPhotos, hold_out, split
from fst.errors import UserError
from fst.system import data_workers

log = logging.getLogger(__name__)


class PhotoData(pl.LightningDataModule):
    """Batches are float32 (B, 3, size, size) RGB in [0, 1]; until they are on their device they are uint8.

    Those to train on have `room` pixels more, across and down.

    Training has no length: the trainer counts steps, not epochs (`check_val_every_n_epoch=None`), and leaves the
    order to this module (`use_distributed_sampler=False`). Every process validates on all held-out photos, so that
    the numbers are the same on any number of devices; their crops stay in memory (3·size² bytes each).

    Args:
        config: a DataConfig whose name is not auto.
        seed: sample i is a pure function of (seed, i).
        room: of the loss terms, `fst.losses.term.Term`.

    Raises:
        UserError: photos that are neither there nor to be downloaded, or an empty folder.
    """

    def __init__(self, config: DataConfig, *, seed: int, room: int = 0) -> None:
        super().__init__()
        self.config, self.seed, self.room, self.name = config, seed, room, config.name
        self.source = None if self.name == "procedural" else sources.locate(config)
        self._warned = False
        if self.source is not None and self.source.train.is_dir():
            _ = self._photos  # an empty folder is said now, before anything else is loaded

    def prepare_data(self) -> None:
        """Download and unpack, on one process a machine."""
        for archive in self.source.archives if self.source else ():
            archive.obtain()

    def setup(self, stage: str | None = None) -> None:
        """Hold photos out, and see that there are others left to train on."""
        _ = self._split

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
        """The held-out crops, always the same and in the same order."""
        crops = [crop for _, crop in self._split[0]]
        generator = torch.Generator().manual_seed(self.seed)
        return DataLoader(crops, batch_size=self.config.batch_size, pin_memory=self._on_cuda, generator=generator)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> torch.Tensor:
        """uint8 to float32 in [0, 1], on the device; the first photo that could not be read is said here."""
        if isinstance(batch, UserError):
            raise batch
        if not self._warned and self.skipped:
            self._warned = True
            log.warning(self._skip_line())
        return batch.float().div_(255)

    def preview_photos(self, count: int) -> list[tuple[str, torch.Tensor]]:
        """Up to `count` held-out photos: (name, float32 (3, size, size) in [0, 1])."""
        return [(name, crop.float().div(255)) for name, crop in self._split[0][:count]]

    @property
    def skipped(self) -> int:
        """How many photo files could not be read so far, worker processes included; each is counted once."""
        return 0 if self.source is None or "_photos" not in vars(self) else self._photos.skipped

    @rank_zero_only
    def announce(self) -> None:
        """Print what is trained on, for who left the choice to fst."""
        if self.source is None:
            print("data: procedural, images drawn on the fly; data=coco or data=folder data.root=DIR takes photos")
        else:
            print(f"data: {self.name}, photos in {self.source.train}")

    @functools.cached_property
    def _photos(self) -> Photos:
        assert self.source is not None
        return Photos(self.source.train)

    @functools.cached_property
    def _split(self) -> tuple[list[tuple[str, torch.Tensor]], list[int]]:
        """Held-out crops, and the indices of the photos to train on (none for drawn images)."""
        count, size = self.config.val_images, self.config.size
        if self.source is None:
            return held_out_drawings(count, size), []
        if self.source.val is not None and self.source.val.is_dir():
            return hold_out(Photos(self.source.val), count, size)[0], list(range(len(self._photos)))
        return split(self._photos, count, size)

    def _training_samples(self) -> Dataset:
        config, size = self.config, self.config.size + self.room
        if self.source is None:
            return DrawnImages(size, seed=self.seed)
        shorts = tuple(max(size, round(config.size * scale)) for scale in config.scale)
        return TrainingPhotos(self._photos, self._split[1], size=size, shorts=shorts, flip=config.flip, seed=self.seed)

    def _skip_line(self) -> str:
        first = self._photos.paths[int(self._photos.unreadable.argmax())]
        return f"image {first} cannot be read: another photo takes its place; later ones are replaced silently"

    @property
    def _on_cuda(self) -> bool:
        return self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
