"""Where a choice of photos lies on disk, and how it gets there."""

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


def locate(config: DataConfig) -> Source:
    """The folders of data=folder, coco or imagenet_sample; with `data.download`, also what can fill them.

    Raises:
        UserError: the photos are not there and are not to be downloaded.
    """
    root = None if config.root is None else Path(config.root).expanduser()
    if config.name == "folder":
        return Source(root)
    archives = LAYOUTS[config.name]
    if root is None:
        source = Source(*(archive.place for archive in archives), archives=archives if config.download else ())
        if not source.train.is_dir() and not source.archives:
            raise UserError(archives[0].missing())
        return source
    source = Source(*(root / archive.place.name for archive in archives))
    if not source.train.is_dir():
        raise UserError(
            f"data={config.name} wants a folder {source.train.name} in data.root={config.root}, and there is none; "
            f"for any other tree of photos use data=folder"
        )
    return source
