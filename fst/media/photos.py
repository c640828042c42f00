"""One photo: a file or standard input, painted to a file or standard output."""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from fst import images
from fst.errors import UserError
from fst.files import check_free
from fst.media.bar import waiting
from fst.media.places import STANDARD, target_of
from fst.stylize import Stylizer
from fst.values import between

if TYPE_CHECKING:
    from fst.config.infer import InferConfig
    from fst.stylize.many import Style

QUALITY = 95
# What a picture without a suffix of its own is written as, by its format; any other is a PNG.
_SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "WEBP": ".webp", "TIFF": ".tif", "AVIF": ".avif", "GIF": ".gif"}
_SUFFIXES |= {"HEIF": ".jpg"}  # a telephone's: as a PNG, it would have some 30 MB


def jpeg_quality(quality: int | None) -> int:
    """Of a photo that is written, 1 to 100; any other is a UserError."""
    chosen = QUALITY if quality is None else quality
    between("quality", chosen, 1, 100, ": that of a JPEG file")
    return chosen


def paint(config: InferConfig, styles: list[Style]) -> None:
    """Paint a photo in every style, and print where it went.

    Raises:
        UserError: no photo, or an output that does not fit.
    """
    quality = jpeg_quality(config.quality)
    if config.codec is not None:
        raise UserError(f"codec={config.codec} is for films: leave it out for a photo")
    piped = config.source == STANDARD
    to_standard = config.output == STANDARD or (piped and config.output is None)
    if to_standard and len(styles) > 1:
        raise UserError("standard output takes one picture: give one style=, or output=FILE")
    if to_standard and (sys.stdout is None or sys.stdout.isatty()):
        raise UserError("a terminal cannot show a picture: give output=FILE, or redirect standard output")
    if piped and (sys.stdin is None or sys.stdin.isatty()):
        raise UserError("standard input is no picture: name a file as source=, or redirect standard input")
    file = BytesIO(sys.stdin.buffer.read()) if piped else Path(config.source)
    if piped and images.frame_count(file) > 1:
        raise UserError("an animation cannot go through standard input or output: name files for source= and output=")
    pixels, metadata = images.read_with_metadata(file)  # first: a missing photo is said before a style loads
    stem, suffix = "stdin" if piped else file.stem, suffix_for(file, by_name=not to_standard)
    if to_standard:
        painted = Stylizer.configured(config, styles[0])(pixels)
        sys.stdout.buffer.write(images.encode(painted, suffix, metadata=metadata, quality=quality))
        sys.stdout.buffer.flush()
        return
    targets = [target_of(stem, suffix, style.name, config.output, several=len(styles) > 1) for style in styles]
    for target in targets:  # all, before the first is painted
        if not _writes(target.suffix):
            known = "use .jpg, .png, .webp or .tif"
            raise UserError(f"output={target}: no picture is written as '{target.suffix}'; {known}")
        check_free(target, config.overwrite, None if piped else file)
    for style, target in zip(styles, targets, strict=True):
        with waiting(f"painting {target.name}"):
            painted = Stylizer.configured(config, style)(pixels)
        print(images.write(target, painted, metadata=metadata, quality=quality))
        if loses_alpha(metadata, target):
            print(f"{config.source} is transparent in places: {target} has white there", file=sys.stderr)


def loses_alpha(metadata: images.Metadata, target: Path) -> bool:
    """Whether a photo has transparency that the file it is painted to does not keep."""
    return metadata.alpha is not None and not images.keeps_alpha(target.suffix)


def _writes(suffix: str) -> bool:
    kind = Image.registered_extensions().get(suffix.lower())
    return kind in Image.SAVE and kind not in ("ICO", "ICNS", "PDF", "EPS")  # which have sizes of their own, or pages


def suffix_for(photo: Path | BytesIO, *, by_name: bool = True) -> str:
    """Of what is painted from a photo: its own, or its format's, or PNG's where Pillow does not write that."""
    suffix = photo.suffix if by_name and isinstance(photo, Path) else ""
    if suffix.lower() in images.HEIC:
        return _SUFFIXES["HEIF"]
    if suffix.lower() not in Image.registered_extensions():
        with Image.open(photo) as image:
            suffix = _SUFFIXES.get(image.format, ".png")
    return suffix if _writes(suffix) else ".png"
