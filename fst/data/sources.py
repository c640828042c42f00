"""Where a choice of photos lies on disk, and how it gets there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fst.config.schema import DataConfig
from fst.data.archives import COCO_TRAIN, COCO_VAL, IMAGENET_SAMPLE, Archive
from fst.errors import UserError

LAYOUTS = {"coco": (COCO_TRAIN, COCO_VAL), "imagenet_sample": (IMAGENET_SAMPLE,)}


@dataclass(frozen=True)
class Source:
    """Folders of photos: to train on, and, if there is one, to hold out from. `archives` can fill them."""

    train: Path
    val: Path | None = None
    archives: tuple[Archive, ...] = ()

    def obtain(self) -> None:
        """Download and unpack what is not there.

        Raises:
            UserError: as `Archive.obtain`.
        """
        for archive in self.archives:
            archive.obtain()


def locate(config: DataConfig) -> Source:
    """The folders of data=folder, coco or imagenet_sample; with `data.download`, also what can fill them.

    Raises:
        UserError: the photos are not there and are not to be downloaded.
    """
    source = _named(config) if config.root is not None else _in_store(config)
    if source.train.is_dir() or source.archives:
        return source
    if config.root is None:
        raise UserError(LAYOUTS[config.name][0].missing())
    if config.name == "folder":
        raise UserError(f"data.root={config.root} is not a folder; name one that holds photos")
    raise UserError(
        f"data={config.name} wants a folder {source.train.name} in data.root={config.root}, and there is none; "
        f"for any other tree of photos use data=folder"
    )


def _named(config: DataConfig) -> Source:
    root = Path(config.root or "").expanduser()
    if config.name == "folder":
        return Source(root)
    return Source(*(root / archive.place.name for archive in LAYOUTS[config.name]))


def _in_store(config: DataConfig) -> Source:
    if config.name == "folder":
        raise UserError("data=folder needs the folder of photos: data.root=DIR")
    archives = LAYOUTS[config.name]
    return Source(*(archive.place for archive in archives), archives=archives if config.download else ())
