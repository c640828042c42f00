"""Photos: one, a folder, a glob or standard input, painted to a file, a folder or standard output."""

from __future__ import annotations

import glob
import itertools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from fst import images
from fst.errors import UserError
from fst.media.photo_report import Report
from fst.stylize import Stylizer

QUALITY = 95
STANDARD = "-"  # standard input or output


# What a picture without a suffix of its own is written as, by its format.
_SUFFIXES = {
    "JPEG": ".jpg",
    "MPO": ".jpg",
    "PNG": ".png",
    "WEBP": ".webp",
    "TIFF": ".tif",
    "AVIF": ".avif",
    "GIF": ".gif",
}


@dataclass(frozen=True)
class How:
    """How results are written: the quality of JPEG, WebP and AVIF, whether over files that exist, and steadied how."""

    quality: int
    overwrite: bool
    stabilize: str


@dataclass(frozen=True)
class Photo:
    """A photo or animation to paint, and its place below the folder or pattern that it was found by."""

    path: Path
    place: Path

    @property
    def suffix(self) -> str:
        """Of what is painted from it: the photo's own, or its format's, or PNG's where Pillow does not write that."""
        suffix = self.path.suffix or _suffix_of(self.path)
        return suffix if _writes(suffix) else ".png"


def is_many(source: str) -> bool:
    """Whether a source is a folder or a pattern, whose results go into a folder. A file called "a[1].jpg" is a file."""
    path = Path(source).expanduser()
    return path.is_dir() or (glob.has_magic(source) and not path.exists())


def find(source: str) -> tuple[list[Photo], list[Path]]:
    """The photos of a source, sorted (a file, or what is below a folder or matches a pattern), and other files there.

    Files without a known suffix are photos where their contents are.

    Raises:
        UserError: there is none.
    """
    path = Path(source).expanduser()
    if not is_many(source):
        return [Photo(path, Path(path.name))], []
    if path.is_dir():
        root, files = path, sorted(images.files_below(path))
    else:
        root = Path(*path.parts[: next(index for index, part in enumerate(path.parts) if glob.has_magic(part))])
        files = _matches(path)
    photos = {file: None for file in files if _is_photo(file)}
    if not photos:
        where = f"folder {path} holds no images" if path.is_dir() else f"source={source} matches no image"
        raise UserError(f"{where} ({', '.join(sorted(images.SUFFIXES))})")
    return [Photo(file, file.relative_to(root)) for file in photos], [file for file in files if file not in photos]


def _matches(pattern: Path) -> list[Path]:
    """Files that match, each once: a link may lead to a folder that matches too, or to its own parent."""
    once: dict[tuple[Path, str], Path] = {}
    matches = map(Path, glob.glob(str(pattern), recursive=True))  # noqa: PTH207  (Path.glob takes no absolute pattern)
    for match in sorted(matches, key=lambda match: len(match.parts)):
        if match.is_file():
            once.setdefault((match.parent.resolve(), match.name), match)
    return sorted(once.values())


def _is_photo(file: Path) -> bool:
    return images.is_image(file.name) or (file.is_file() and images.frame_count(file) > 0)  # a pipe is not read


def target_of(photo: Photo, source: str, output: str | None, style: str, *, several: bool = False) -> Path:
    """Where a painted photo goes.

    A single photo: to `output`, a file or a folder; without it to NAME-STYLE in the current folder. Of a folder or
    pattern: to the same place below the folder `output`; without it below NAME-STYLE in the current folder. With
    `several` styles, a file's name gets the style's, and a folder has one folder a style.
    """
    named = f"{photo.path.stem}-{style}{photo.suffix}"
    target = Path(output).expanduser() if output is not None else None
    if is_many(source):
        if target is None:
            folder = Path(source).expanduser()
            target = Path(f"{folder.resolve().name if folder.is_dir() else 'painted'}-{style}")
        elif several:
            target /= style
        return target / photo.place.with_suffix(photo.suffix)
    if target is None:
        return Path(named)
    if target.is_dir() or output.endswith(("/", os.sep)) or not target.suffix:
        return target / named
    return target.with_stem(f"{target.stem}-{style}") if several else target


def _writes(suffix: str) -> bool:
    return Image.registered_extensions().get(suffix.lower()) in Image.SAVE


def paint(
    source: str,
    output: str | None,
    styles: list[str],
    load: Callable[[str], Stylizer],
    *,
    quality: int | None = None,
    overwrite: bool = False,
    stabilize: str = "hold",
) -> None:
    """Paint a photo, or every photo of a folder, in every style, and print where it went.

    Of many photos, those painted already are passed over and damaged ones skipped, with a line each.

    Args:
        source: a photo, folder or pattern, or - for standard input.
        output: see `target_of`; - for standard output.
        styles: names or files.
        load: makes a style's Stylizer, when its turn comes.
        quality: of JPEG, WebP and AVIF, 1 to 100.
        overwrite: replace files that exist.
        stabilize: how animations of a folder are kept from flickering, one of `fst.media.video.stabilize.WAYS`.

    Raises:
        UserError: no photo, an output that does not fit, or photos that could not be painted.
    """
    quality = QUALITY if quality is None else quality
    if not 1 <= quality <= 100:
        raise UserError(f"quality={quality} is outside 1..100, the quality of a JPEG file")
    how = How(quality, overwrite, stabilize)
    if STANDARD in (source, output):
        _pipe(source, output, styles, load, how)
    elif is_many(source):
        _paint_many(source, output, styles, load, how)
    else:
        _paint_one(source, output, styles, load, how)


def _paint_one(source: str, output: str | None, styles: list[str], load: Callable[[str], Stylizer], how: How) -> None:
    [photo], _ = find(source)
    pixels, metadata = images.read_with_metadata(photo.path)  # first: a missing photo is said before a style loads
    for style in styles:
        stylizer = load(style)
        target = target_of(photo, source, output, stylizer.name, several=len(styles) > 1)
        check_target(target, how.overwrite)
        _write(source, target, stylizer(pixels), metadata, how.quality)


def _write(source: str, target: Path, painted: np.ndarray, metadata: images.Metadata, quality: int) -> None:
    print(images.write(target, painted, metadata=metadata, quality=quality))
    if _loses_alpha(metadata, target):
        print(f"{source} is transparent in places: {target} has white there", file=sys.stderr)


def _loses_alpha(metadata: images.Metadata, target: Path) -> bool:
    return metadata.alpha is not None and not images.keeps_alpha(target.suffix)


def _paint_many(source: str, output: str | None, styles: list[str], load: Callable[[str], Stylizer], how: How) -> None:
    if output is not None and Path(output).expanduser().is_file():
        raise UserError(f"output={output} is a file, but the source is many photos: name a folder")
    photos, others = find(source)
    folders: set[Path] = set()
    report = Report(len(photos) * len(styles))
    report.leave_out(others)
    try:
        with report:
            for style in styles:
                stylizer = load(style)
                taken: set[Path] = set()
                for photo in photos:
                    target = target_of(photo, source, output, stylizer.name, several=len(styles) > 1)
                    folders.add(Path(*target.parts[: len(target.parts) - len(photo.place.parts)]))
                    if target in taken:  # a.heic and a.png both become a.png: then one is a.heic.png
                        target = _free(target.with_name(photo.place.name + photo.suffix), taken)
                    taken.add(target)
                    _paint_into(report, photo, target, stylizer, how)
    finally:  # on Ctrl-C too: what was done stays, and is counted
        where = ", ".join(str(folder) for folder in sorted(folders))
        print(f"{report.summary()}: {where}" if where else report.summary())
    if report.failed:
        raise UserError(f"{report.failed} of {report.total} photos could not be painted: see the lines above")


def _free(target: Path, taken: set[Path]) -> Path:
    names = (target.with_stem(f"{target.stem}-{number}") for number in itertools.count(2))
    return next(path for path in itertools.chain([target], names) if path not in taken)


def _paint_into(report: Report, photo: Photo, target: Path, stylizer: Stylizer, how: How) -> None:
    report.start(photo.path.name)
    try:
        if target.exists() and not how.overwrite:
            report.passed += 1
        elif images.frame_count(photo.path) > 1 or target.suffix.lower() == ".gif":
            from fst.media.video.paint_video import paint_video  # late: most folders hold nothing that moves
            from fst.media.video.stabilize import Stabilized

            steady = Stabilized(stylizer, how.stabilize)
            paint_video(str(photo.path), target, steady, overwrite=how.overwrite, bar=False)
            report.painted += 1
        else:
            pixels, metadata = images.read_with_metadata(photo.path)
            images.write(target, stylizer(pixels), metadata=metadata, quality=how.quality)
            report.painted += 1
            report.white += _loses_alpha(metadata, target)
    except UserError as error:
        report.skip(error)
    report.advance()


def check_target(target: Path, overwrite: bool) -> None:
    """Raise a UserError, before the work is done, for a file that exists or a format that cannot be written."""
    if not _writes(target.suffix):
        raise UserError(f"output={target}: no picture is written as '{target.suffix}'; use .jpg, .png, .webp or .tif")
    if target.exists() and not overwrite:
        raise UserError(f"{target} exists already: add overwrite=true, or name another output=")


def _pipe(source: str, output: str | None, styles: list[str], load: Callable[[str], Stylizer], how: How) -> None:
    to_standard = output in (None, STANDARD)
    if source != STANDARD and is_many(source):
        raise UserError("output=- takes one photo: name a folder for many")
    if to_standard and len(styles) > 1:
        raise UserError("standard output takes one picture: give one style=, or output=FILE")
    if to_standard and sys.stdout.isatty():
        raise UserError("a terminal cannot show a picture: give output=FILE, or redirect standard output")
    file = BytesIO(sys.stdin.buffer.read()) if source == STANDARD else Path(source).expanduser()
    if images.frame_count(file) > 1:
        raise UserError("an animation cannot go through standard input or output: name files for source= and output=")
    pixels, metadata = images.read_with_metadata(file)
    suffix = _suffix_of(file)
    for style in styles:
        stylizer = load(style)
        if to_standard:
            sys.stdout.buffer.write(images.encode(stylizer(pixels), suffix, metadata=metadata, quality=how.quality))
            sys.stdout.buffer.flush()
            continue
        photo = Photo(Path(f"stdin{suffix}"), Path(f"stdin{suffix}"))
        target = target_of(photo, str(photo.path), output, stylizer.name, several=len(styles) > 1)
        check_target(target, how.overwrite)
        _write(source, target, stylizer(pixels), metadata, how.quality)


def _suffix_of(file: BytesIO | Path) -> str:
    """The suffix of a picture's format, by its contents."""
    try:
        with Image.open(file) as image:
            kind = image.format
    except images.DAMAGED:
        kind = None
    return _SUFFIXES.get(kind or "", ".png")
