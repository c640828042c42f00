"""Training photos: `build` turns a DataConfig into a LightningDataModule. Nothing heavy is imported before that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fst.config.schema import DataConfig

if TYPE_CHECKING:
    from fst.data.photo_data import PhotoData


def build(config: DataConfig, *, seed: int, room: int = 0) -> PhotoData:
    """The data module of a config; arguments and errors are PhotoData's."""
    from fst.data.photo_data import PhotoData

    return PhotoData(config, seed=seed, room=room)
