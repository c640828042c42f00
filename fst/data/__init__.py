"""Training photos: `build` turns a DataConfig into a LightningDataModule. Nothing heavy is imported before that."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fst.config.schema import AUTO, DataConfig
from fst.errors import UserError, near

if TYPE_CHECKING:
    from fst.data.photo_data import PhotoData

NAMES = ("coco", "folder", "imagenet_sample", "procedural")


def build(config: DataConfig, *, seed: int, room: int = 0) -> PhotoData:
    """The data module of a config; its `name` is the choice made where the config says auto.

    Args:
        config: of the data.
        seed: as PhotoData's.
        room: as PhotoData's.

    Raises:
        UserError: an unknown name, a missing or empty folder, or photos that are not in the store when
            `data.download` does not allow to fetch them.
    """
    name = _chosen(config) if config.name == AUTO else config.name
    if name not in NAMES:
        raise UserError(f"data is '{name}'{near(name, [*NAMES, AUTO])}")

    from fst.data.photo_data import PhotoData

    data = PhotoData(replace(config, name=name), seed=seed, room=room)
    if config.name == AUTO:
        data.announce()
    return data


def _chosen(config: DataConfig) -> str:
    """Auto: a folder that is named, else COCO if the store has it, else the ImageNet sample, else drawn images."""
    from fst.data.archives import COCO_TRAIN, IMAGENET_SAMPLE

    if config.root is not None:
        return "folder"
    if COCO_TRAIN.place.is_dir():
        return "coco"
    # Who asks for a download without saying of what gets the smaller of the two.
    return "imagenet_sample" if IMAGENET_SAMPLE.place.is_dir() or config.download else "procedural"
