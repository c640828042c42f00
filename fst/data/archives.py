"""Photo archives: downloaded once, unpacked safely beside their place, and renamed into it whole."""

import gzip
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from fst import images, store
from fst.errors import UserError
from fst.store import Remote

WITHOUT = "train without photos: data=procedural"
HEADROOM_BYTES = 1_000_000_000  # left free for the run itself


@dataclass(frozen=True)
class Archive:
    """A zip or tar.gz of photos. `depth` is how many last parts of a member's path are kept: 2 keeps <wnid>/<file>."""

    folder: str  # its place in the store
    remote: Remote
    depth: int

    @property
    def place(self) -> Path:
        return store.home() / self.folder

    def missing(self) -> str:
        """What is wanted, from where, how large, and which setting does it or does without, in one line."""
        return (
            f"{self.place} does not exist: data.download=true fetches {self.remote.address} "
            f"({store.readable_size(self.remote.size)}) into it, data.root=DIR names another place, or {WITHOUT}"
        )

    def obtain(self) -> Path:
        """The unpacked folder, downloaded and unpacked first if it is not there; UserError where that fails."""
        if not self.place.is_dir():
            file = self.place.parent / PurePosixPath(self.remote.address).name
            self._check_disk(file)
            store.fetch(str(file.relative_to(store.home())), self.remote, otherwise=WITHOUT)
            unpack(file, self.place, depth=self.depth)
            file.unlink()
        return self.place

    def _check_disk(self, file: Path) -> None:
        store.home().mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(store.home()).free
        needed = self.remote.size * (1 if file.exists() else 2) + HEADROOM_BYTES  # photos hardly compress
        if free < needed:
            raise UserError(
                f"{store.home()} has {store.readable_size(free)} free, but {file.name} and its photos need "
                f"{store.readable_size(needed)}; set FST_HOME to a larger disk, or {WITHOUT}"
            )


COCO = "http://images.cocodataset.org/zips"
TRAIN_DIGEST = "69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929"
VAL_DIGEST = "4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05"
# fast.ai publishes no digest: HTTPS says whose the archive is, and gzip's checksum whether it arrived whole.
IMAGENET = Remote("https://files.fast.ai/data/imagenet-sample-train.tar.gz", None, 2_100_000_000)

# By data set, the best first: the photos to train on and, of COCO, those to hold out.
ARCHIVES = {
    "coco": (
        Archive("coco/train2017", Remote(f"{COCO}/train2017.zip", TRAIN_DIGEST, 19_336_861_798), depth=1),
        Archive("coco/val2017", Remote(f"{COCO}/val2017.zip", VAL_DIGEST, 815_585_330), depth=1),
    ),
    "imagenet_sample": (Archive("imagenet-sample/train", IMAGENET, depth=2),),
}


def unpack(archive: Path, folder: Path, *, depth: int) -> None:
    """Unpack the images of a zip or tar.gz archive so that `folder` appears whole or not at all.

    Only regular files with an image's suffix are written, under the last `depth` parts of their path; everything
    else (labels, links, devices) is passed over.

    Raises:
        UserError: a member's path leads out of the folder, the archive is damaged, or it holds no image.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as beside:
            inside = Path(beside, folder.name)
            if not _write_images(archive, inside, depth):
                raise UserError(f"{archive} holds no images; remove it and try again, or {WITHOUT}")
            inside.rename(folder)
    except (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, tarfile.TarError, EOFError) as error:
        raise UserError(f"{archive} is damaged ({error}); remove it and try again, or {WITHOUT}") from None
    except OSError as error:
        raise UserError(f"cannot unpack {archive} to {folder}: {error.strerror or error}") from None


def _write_images(archive: Path, folder: Path, depth: int) -> int:
    count = 0
    for name, content in _members(archive):
        path = PurePosixPath(name.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in name:  # as x/C:/1.png, which Windows takes for a root
            raise UserError(f"{archive} is refused: its member '{name}' would be written outside {folder}")
        if content is None or not images.is_image(path.name):
            continue
        target = folder.joinpath(*path.parts[-depth:])
        target.parent.mkdir(parents=True, exist_ok=True)
        with content, target.open("wb") as out:
            shutil.copyfileobj(content, out)
        count += 1
    return count


def _members(archive: Path) -> Iterator[tuple[str, IO[bytes] | None]]:
    """Every member's name and, for a regular file, its content; a progress bar counts them."""
    from rich.progress import track

    title = f"unpacking {archive.name}"
    if archive.suffix == ".zip" or zipfile.is_zipfile(archive):  # one that was cut off does not look like a zip
        with zipfile.ZipFile(archive) as opened:
            for member in track(opened.infolist(), description=title, transient=True):
                yield member.filename, None if member.is_dir() else opened.open(member)
    else:
        with gzip.open(archive) as stream, tarfile.open(fileobj=stream, mode="r|") as opened:
            for entry in track(opened, description=title, transient=True):
                yield entry.name, opened.extractfile(entry) if entry.isreg() else None
            while stream.read(1 << 20):  # to the very end, where gzip's checksum is
                pass
