"""Photos: one, a folder, a glob or standard input, painted to a file, a folder or standard output."""

from __future__ import annotations

import dataclasses
import glob
import mimetypes
import sys
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from fst import images
from fst.errors import UserError
from fst.files import check_free
from fst.media.bar import progress, say, waiting
from fst.media.places import STANDARD, numbered, target_of
from fst.stylize import Stylizer
from fst.stylize.styles import bundled_names
from fst.values import between

if TYPE_CHECKING:
    from fst.config.infer import InferConfig
    from fst.stylize.many import Style

QUALITY = 95
# What a picture without a suffix of its own is written as, by its format; any other is a PNG.
_SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "WEBP": ".webp", "TIFF": ".tif", "AVIF": ".avif", "GIF": ".gif"}
_SUFFIXES |= {"HEIF": ".jpg"}  # a telephone's: as a PNG, it would have some 30 MB
# What becomes of one of many photos, as it is said at the end.
_PAINTED, _PASSED, _FAILED = "painted", "there already (overwrite=true paints them again)", "failed"
_WHITE = "had transparent areas that are now white: their format has no transparency"


def is_many(source: str) -> bool:
    """Whether a source is a folder or a pattern, whose results go into a folder. A file called "a[1].jpg" is a file."""
    path = Path(source)
    return path.is_dir() or (glob.has_magic(source) and not path.exists())


def paint(config: InferConfig, styles: list[Style]) -> None:
    """Paint a photo, or every photo of a folder, in every style, and print where it went.

    Of many photos, those painted already are passed over and damaged ones skipped, with a line each. They keep their
    places below the folder or the fixed part of the pattern; several styles have a folder each. A style is loaded when
    its turn comes.

    Raises:
        UserError: no photo, an output that does not fit, or photos that could not be painted.
    """
    quality = QUALITY if config.quality is None else config.quality
    between("quality", quality, 1, 100, ": that of a JPEG file")
    config = dataclasses.replace(config, quality=quality)
    if config.source != STANDARD and is_many(config.source):
        _paint_many(config, styles)
    else:
        _paint_one(config, styles)


def _paint_one(config: InferConfig, styles: list[Style]) -> None:
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
    stem, suffix = "stdin" if piped else file.stem, _suffix_for(file, by_name=not to_standard)
    for style in styles:
        if to_standard:
            painted = Stylizer.configured(config, style)(pixels)
            sys.stdout.buffer.write(images.encode(painted, suffix, metadata=metadata, quality=config.quality))
            sys.stdout.buffer.flush()
            continue
        target = target_of(stem, suffix, style.name, config.output, several=len(styles) > 1)
        if not _writes(target.suffix):
            known = "use .jpg, .png, .webp or .tif"
            raise UserError(f"output={target}: no picture is written as '{target.suffix}'; {known}")
        check_free(target, config.overwrite, None if piped else file)
        with waiting(f"painting {target.name}"):
            painted = Stylizer.configured(config, style)(pixels)
        print(images.write(target, painted, metadata=metadata, quality=config.quality))
        if _loses_alpha(metadata, target):
            print(f"{config.source} is transparent in places: {target} has white there", file=sys.stderr)


def _paint_many(config: InferConfig, styles: list[Style]) -> None:
    if config.output == STANDARD:
        raise UserError("output=- takes one photo: name a folder for many")
    if config.output is not None and Path(config.output).is_file():
        raise UserError(f"output={config.output} is a file, but the source is many photos: name a folder")
    folders = [_folder_for(config, style.name, several=len(styles) > 1) for style in styles]
    photos, others = _find(config, folders)
    if others:
        names = ", ".join(file.name for file in others[:3]) + (", ..." if len(others) > 3 else "")
        say(f"left out: {len(others)} files that are no photos ({names})")
    count: Counter[str] = Counter()
    total = len(photos) * len(styles)
    try:
        with progress(total, "photo") as bar:
            for style, folder in zip(styles, folders, strict=True):
                stylizer = Stylizer.configured(config, style)
                for photo, target in _targets(photos, folder).items():
                    bar(description=photo.name)
                    try:
                        count[_paint_into(target, photo, stylizer, config)] += 1
                    except UserError as error:
                        say(f"skipped: {error}")
                        count[_FAILED] += 1
                    bar(advance=1)
    finally:  # on Ctrl-C too: what was done stays, and is counted
        parts = [f"{count[_PAINTED] + count[_WHITE]} of {total} painted"]
        parts += [f"{count[what]} {what}" for what in (_PASSED, _WHITE, _FAILED) if count[what]]
        print(", ".join(parts) + (f": {', '.join(map(str, folders))}" if count else ""))
    if count[_FAILED]:
        raise UserError(f"{count[_FAILED]} of {total} photos could not be painted: see the lines above")


def _find(config: InferConfig, folders: list[Path]) -> tuple[dict[Path, Path], list[Path]]:
    """The photos below a folder or of a pattern, sorted, and their places there; and what else is there.

    Files without a known suffix are photos where their contents are. What was painted before, into `folders`, another
    below the output, or in another style that comes with fst, is left out.
    """
    source = Path(config.source)
    if source.is_dir():
        root, files = source, sorted(images.files_below(source))
    else:
        root = Path(*source.parts[: next(index for index, part in enumerate(source.parts) if glob.has_magic(part))])
        files = _matches(source)
    if any(folder.is_dir() and folder.samefile(root) for folder in folders):
        raise UserError(f"the photos are in {root}, where their paintings would go: name another folder as output=")
    names = () if config.output else bundled_names()
    earlier = (_folder_for(config, name, several=False) for name in names)
    results = {folder.resolve() for folder in (*folders, *earlier, Path(config.output or folders[0]))}
    results = {folder for folder in results if root.resolve() in folder.parents}
    found = len(files)
    files = [file for file in files if results.isdisjoint(file.resolve().parents)]
    if len(files) < found:
        say(f"left out: {found - len(files)} files where results go")
    photos = {file: file.relative_to(root) for file in files if _is_photo(file)}
    if not photos:
        where = f"folder {source} holds no images" if source.is_dir() else f"source={source} matches no image"
        films = [file for file in files if str(mimetypes.guess_type(file.name)[0]).startswith("video/")]
        hint = f"; films are painted one by one, as source={films[0]}" if films else ""
        raise UserError(f"{where} ({', '.join(sorted(images.SUFFIXES))}){hint}")
    return photos, [file for file in files if file not in photos]


def _matches(pattern: Path) -> list[Path]:
    """Files that match, each once: a link may lead to a folder that matches too, or to its own parent."""
    once: dict[tuple[Path, str], Path] = {}
    matches = map(Path, glob.glob(str(pattern), recursive=True))  # noqa: PTH207  (Path.glob takes no absolute pattern)
    for match in sorted(matches, key=lambda match: len(match.parts)):
        if match.is_file():
            once.setdefault((match.parent.resolve(), match.name), match)
    return sorted(once.values())


def _is_photo(file: Path) -> bool:
    if file.is_fifo():  # to read it could take for ever
        return False
    return images.is_image(file.name) or (file.is_file() and images.frame_count(file) > 0)


def _folder_for(config: InferConfig, style: str, *, several: bool) -> Path:
    if config.output is None:
        source = Path(config.source)
        return Path(f"{source.resolve().name if source.is_dir() else 'painted'}-{style}")
    folder = Path(config.output)
    return folder / style if several else folder


def _targets(photos: dict[Path, Path], folder: Path) -> dict[Path, Path]:
    """Where each photo goes. Where a.heic and a.jpg would both become a.jpg, the first is a.heic.jpg."""
    targets: dict[Path, Path] = {}
    taken: set[Path] = set()
    # Those that keep their suffix first: they have their names whatever is there besides.
    suffixes = {photo: _suffix_for(photo) for photo in photos}
    for photo, suffix in sorted(suffixes.items(), key=lambda item: item[0].suffix != item[1]):
        place = photos[photo]
        target = folder / place.with_suffix(suffix)
        if target in taken:
            target = numbered(target.with_name(place.name + suffix), taken.__contains__)
        targets[photo] = target
        taken.add(target)
    return {photo: targets[photo] for photo in photos}


def _paint_into(target: Path, photo: Path, stylizer: Stylizer, config: InferConfig) -> str:
    """Paint one of many photos, or an animation among them; what became of it."""
    if target.exists() and not config.overwrite:
        return _PASSED
    if images.frame_count(photo) > 1 or target.suffix.lower() == ".gif":
        from fst.media.video.paint_video import paint_video  # late: most folders hold nothing that moves

        paint_video(str(photo), target, stylizer, overwrite=config.overwrite, stabilize=config.stabilize, alone=False)
        return _PAINTED
    pixels, metadata = images.read_with_metadata(photo)
    images.write(target, stylizer(pixels), metadata=metadata, quality=config.quality)
    return _WHITE if _loses_alpha(metadata, target) else _PAINTED


def _loses_alpha(metadata: images.Metadata, target: Path) -> bool:
    return metadata.alpha is not None and not images.keeps_alpha(target.suffix)


def _writes(suffix: str) -> bool:
    return Image.registered_extensions().get(suffix.lower()) in Image.SAVE


def _suffix_for(photo: Path | BytesIO, *, by_name: bool = True) -> str:
    """Of what is painted from a photo: its own, or its format's, or PNG's where Pillow does not write that."""
    suffix = photo.suffix if by_name and isinstance(photo, Path) else ""
    if suffix.lower() in images.HEIC:
        return _SUFFIXES["HEIF"]
    if not suffix:
        with Image.open(photo) as image:
            suffix = _SUFFIXES.get(image.format, ".png")
    return suffix if _writes(suffix) else ".png"
