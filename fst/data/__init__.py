"""Training photos: `build` turns a DataConfig into a LightningDataModule. Nothing heavy is imported before that."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fst.config.schema import AUTO, DataConfig

if TYPE_CHECKING:
    from fst.data.photo_data import PhotoData


def build(config: DataConfig, *, seed: int, room: int = 0) -> PhotoData:
    """The data module of a config, with a name where that says auto; arguments and errors are PhotoData's."""
    from fst.data.photo_data import PhotoData

    if config.name != AUTO:
        return PhotoData(config, seed=seed, room=room)
    data = PhotoData(replace(config, name=_chosen(config)), seed=seed, room=room)
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
