"""Photos: one, a folder, a glob or standard input, painted to a file, a folder or standard output."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from fst import images
from fst.errors import UserError
from fst.media.photo_report import Report
from fst.stylize import Stylizer

QUALITY = 95
STANDARD = "-"  # standard input or output


@dataclass(frozen=True)
class Photo:
    """A photo to paint, and its place below the folder or glob that it was found in."""

    path: Path
    place: Path


def is_many(source: str) -> bool:
    """Whether a source is a folder or a pattern, whose results go into a folder. A file called "a[1].jpg" is a file."""
    path = Path(source).expanduser()
    return path.is_dir() or (glob.has_magic(source) and not path.exists())


def find(source: str) -> list[Photo]:
    """The photos of a source: a file, every image below a folder, or what a pattern matches, sorted.

    Raises:
        UserError: there is none.
    """
    path = Path(source).expanduser()
    if not is_many(source):
        return [Photo(path, Path(path.name))]
    if path.is_dir():
        return [Photo(found, found.relative_to(path)) for found in images.files(path)]
    magic = next(index for index, part in enumerate(path.parts) if glob.has_magic(part))
    root = Path(*path.parts[:magic])
    # Path.glob takes no absolute pattern.
    matches = map(Path, sorted(glob.glob(str(path), recursive=True)))  # noqa: PTH207
    found = [Photo(match, match.relative_to(root)) for match in matches if images.is_image(match.name)]
    if not found:
        raise UserError(f"source={source} matches no image ({', '.join(sorted(images.SUFFIXES))})")
    return found


def target_of(photo: Photo, source: str, output: str | None, style: str, *, several: bool = False) -> Path:
    """Where a painted photo goes.

    A single photo: to `output`, a file or a folder; without it to NAME-STYLE in the current folder. Of a folder or
    pattern: to the same place below the folder `output`; without it below NAME-STYLE in the current folder. With
    `several` styles, a file's name gets the style's, and a folder has one folder a style. The format stays the
    photo's own where Pillow writes it, else it is PNG.
    """
    suffix = photo.path.suffix if _writes(photo.path.suffix) else ".png"
    named = f"{photo.path.stem}-{style}{suffix}"
    target = Path(output).expanduser() if output is not None else None
    if is_many(source):
        if target is None:
            folder = Path(source).expanduser()
            target = Path(f"{folder.resolve().name if folder.is_dir() else 'painted'}-{style}")
        elif several:
            target /= style
        return target / photo.place.with_suffix(suffix)
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

    Raises:
        UserError: no photo, an output that does not fit, or photos that could not be painted.
    """
    quality = QUALITY if quality is None else quality
    if not 1 <= quality <= 100:
        raise UserError(f"quality={quality} is outside 1..100, the quality of a JPEG file")
    if STANDARD in (source, output):
        _pipe(source, output, styles, load, quality, overwrite)
    elif is_many(source):
        _paint_many(source, output, styles, load, quality, overwrite)
    else:
        _paint_one(source, output, styles, load, quality, overwrite)


def _paint_one(
    source: str, output: str | None, styles: list[str], load: Callable[[str], Stylizer], quality: int, overwrite: bool
) -> None:
    [photo] = find(source)
    pixels, metadata = images.read_with_metadata(photo.path)  # first: a missing photo is said before a style loads
    for style in styles:
        stylizer = load(style)
        target = target_of(photo, source, output, stylizer.name, several=len(styles) > 1)
        check_target(target, overwrite)
        print(images.write(target, stylizer(pixels), metadata=metadata, quality=quality))


def _paint_many(
    source: str, output: str | None, styles: list[str], load: Callable[[str], Stylizer], quality: int, overwrite: bool
) -> None:
    if output is not None and Path(output).expanduser().is_file():
        raise UserError(f"output={output} is a file, but the source is many photos: name a folder")
    photos = find(source)
    folders: set[Path] = set()
    report = Report(len(photos) * len(styles))
    try:
        with report:
            for style in styles:
                stylizer = load(style)
                for photo in photos:
                    target = target_of(photo, source, output, stylizer.name, several=len(styles) > 1)
                    folders.add(Path(*target.parts[: len(target.parts) - len(photo.place.parts)]))
                    _paint_into(report, photo, target, stylizer, quality, overwrite)
    finally:  # on Ctrl-C too: what was done stays, and is counted
        where = ", ".join(str(folder) for folder in sorted(folders))
        print(f"{report.summary()}: {where}" if where else report.summary())
    if report.failed:
        raise UserError(f"{report.failed} of {report.total} photos could not be painted: see the lines above")


def _paint_into(report: Report, photo: Photo, target: Path, stylizer: Stylizer, quality: int, overwrite: bool) -> None:
    report.start(photo.path.name)
    try:
        if target.exists() and not overwrite:
            report.passed += 1
        else:
            pixels, metadata = images.read_with_metadata(photo.path)
            images.write(target, stylizer(pixels), metadata=metadata, quality=quality)
            report.painted += 1
    except UserError as error:
        report.skip(error)
    report.advance()


def check_target(target: Path, overwrite: bool) -> None:
    """Raise a UserError, before the work is done, for a file that exists or a format that cannot be written."""
    if not _writes(target.suffix):
        raise UserError(f"output={target}: no picture is written as '{target.suffix}'; use .jpg, .png, .webp or .tif")
    if target.exists() and not overwrite:
        raise UserError(f"{target} exists already: add overwrite=true, or name another output=")


def _pipe(
    source: str, output: str | None, styles: list[str], load: Callable[[str], Stylizer], quality: int, overwrite: bool
) -> None:
    to_standard = output in (None, STANDARD)
    if source != STANDARD and is_many(source):
        raise UserError("output=- takes one photo: name a folder for many")
    if to_standard and len(styles) > 1:
        raise UserError("standard output takes one picture: give one style=, or output=FILE")
    if to_standard and sys.stdout.isatty():
        raise UserError("a picture is nothing for a terminal: give output=FILE, or send standard output to a file")
    file = BytesIO(sys.stdin.buffer.read()) if source == STANDARD else Path(source).expanduser()
    pixels, metadata = images.read_with_metadata(file)
    suffix = _suffix_of(file)
    for style in styles:
        stylizer = load(style)
        if to_standard:
            sys.stdout.buffer.write(images.encode(stylizer(pixels), suffix, metadata=metadata, quality=quality))
            sys.stdout.buffer.flush()
            continue
        photo = Photo(Path(f"stdin{suffix}"), Path(f"stdin{suffix}"))
        target = target_of(photo, str(photo.path), output, stylizer.name, several=len(styles) > 1)
        check_target(target, overwrite)
        print(images.write(target, stylizer(pixels), metadata=metadata, quality=quality))


def _suffix_of(file: BytesIO | Path) -> str:
    """The suffix of a picture's format, by its contents."""
    if isinstance(file, BytesIO):
        file.seek(0)
    try:
        with Image.open(file) as image:
            kind = image.format
    except (OSError, UnidentifiedImageError):
        kind = None
    known = {"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "WEBP": ".webp", "TIFF": ".tif", "AVIF": ".avif"}
    return known.get(kind or "", ".png")
