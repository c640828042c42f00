"""Photos and films of a folder or a pattern, painted into a folder."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fst import images
from fst.errors import UserError
from fst.media.bar import progress, say
from fst.media.photos import jpeg_quality, loses_alpha, suffix_for
from fst.media.places import STANDARD, numbered
from fst.stylize import Stylizer
from fst.stylize.styles import bundled_names

if TYPE_CHECKING:
    from fst.config.infer import InferConfig
    from fst.stylize.many import Style

FILMS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".mts", ".m2ts", ".wmv", ".flv")
FILMS += (".3gp", ".ogv")
# What becomes of one of many photos, as it is said at the end.
_PAINTED, _PASSED, _FAILED = "painted", "there already (overwrite=true paints them again)", "failed"
_WHITE = "had transparent areas that are now white: their format has no transparency"


def is_many(source: str) -> bool:
    """Whether a source is a folder or a pattern, whose results go into a folder. A file called "a[1].jpg" is a file."""
    path = Path(source)
    return path.is_dir() or (glob.has_magic(source) and not path.exists())


def paint(config: InferConfig, styles: list[Style]) -> None:
    """Paint every photo and then every film of a folder or pattern in every style, and print where they went.

    Those painted already are passed over and damaged ones skipped, with a line each. They keep their places below the
    folder or the fixed part of the pattern; several styles have a folder each. A style is loaded when its turn comes.

    Raises:
        UserError: no photo and no film, an output that does not fit, or some that could not be painted.
    """
    if config.output == STANDARD:
        raise UserError("output=- takes one photo: name a folder for many")
    if config.output is not None and Path(config.output).is_file():
        raise UserError(f"output={config.output} is a file, but the source is many photos: name a folder")
    folders = [_folder_for(config, style.name, several=len(styles) > 1) for style in styles]
    places, others = _find(config, folders)
    if others:
        names = ", ".join(file.name for file in others[:3]) + (", ..." if len(others) > 3 else "")
        say(f"left out: {len(others)} files that are no photos or films ({names})")
    films = {file for file in places if _is_film(file)}
    if len(films) < len(places):
        jpeg_quality(config.quality)
    if films:
        from fst.media.video.encode import choose  # late: most folders hold no film
        from fst.media.video.sink import checked_quality

        choose(".mp4", config.codec)
        checked_quality(config.quality, 0)
    count: Counter[str] = Counter()
    total = len(places) * len(styles)

    def jobs(wanted: Collection[Path]) -> Iterator[tuple[Path, Path, Stylizer]]:
        for style, folder in zip(styles, folders, strict=True) if wanted else ():
            stylizer = Stylizer.configured(config, style)
            yield from ((file, to, stylizer) for file, to in _targets(places, folder).items() if file in wanted)

    try:
        with progress(total - len(films) * len(styles), "photo", shown=len(films) < len(places)) as bar:
            for photo, target, stylizer in jobs(places.keys() - films):
                bar(description=photo.name)
                count[_outcome(_paint_photo, photo, target, stylizer, config)] += 1
                bar(advance=1)
        for film, target, stylizer in jobs(films):  # each with a bar of its own
            count[_outcome(_paint_film, film, target, stylizer, config)] += 1
    finally:  # on Ctrl-C too: what was done stays, and is counted
        parts = [f"{count[_PAINTED] + count[_WHITE]} of {total} painted"]
        parts += [f"{count[what]} {what}" for what in (_PASSED, _WHITE, _FAILED) if count[what]]
        print(", ".join(parts) + (f": {', '.join(map(str, folders))}" if count else ""))
    if count[_FAILED]:
        what = "photos and films" if films else "photos"
        raise UserError(f"{count[_FAILED]} of {total} {what} could not be painted: see the lines above")


def _find(config: InferConfig, folders: list[Path]) -> tuple[dict[Path, Path], list[Path]]:
    """The photos and films below a folder or of a pattern, sorted, and their places there; and what else is there.

    Files without a known suffix are photos where their contents are. What was painted before, into `folders`, another
    below the output, in another style that comes with fst, or into a folder named as they are without `output`, is left
    out.
    """
    source = Path(config.source)
    if source.is_dir():
        root, files = source, sorted(images.files_below(source))
    else:
        root = Path(*source.parts[: next(index for index, part in enumerate(source.parts) if glob.has_magic(part))])
        files = _matches(source)
    if any(folder.is_dir() and folder.samefile(root) for folder in folders):
        raise UserError(f"the photos are in {root}, where their paintings would go: name another folder as output=")
    earlier = [] if config.output else [_folder_for(config, name, several=False) for name in bundled_names()]
    if source.is_dir():
        earlier += [folder for folder in root.glob(f"{root.resolve().name}-*/") if _mirrors(folder, root)]
    results = {folder.resolve() for folder in (*folders, *earlier, Path(config.output or folders[0]))}
    results = {folder for folder in results if root.resolve() in folder.parents}
    found = len(files)
    files = [file for file in files if results.isdisjoint(file.resolve().parents)]
    if len(files) < found:
        say(f"left out: {found - len(files)} files where results go")
    places = {file: file.relative_to(root) for file in files if _is_film(file) or _is_photo(file)}
    if not places:
        where = f"folder {source} holds" if source.is_dir() else f"source={source} matches"
        raise UserError(f"{where} no photo ({', '.join(sorted(images.SUFFIXES))}) and no film ({', '.join(FILMS)})")
    return places, [file for file in files if file not in places]


def _mirrors(folder: Path, root: Path) -> bool:
    """Whether every file of a folder stands, but for its suffix, at the same place below `root`: painted from there."""
    places = [file.relative_to(folder) for file in images.files_below(folder)]
    return all(any((root / place.parent).glob(f"{glob.escape(place.stem)}.*")) for place in places)


def _matches(pattern: Path) -> list[Path]:
    """Files that match, each once: a link may lead to a folder that matches too, or to its own parent."""
    once: dict[tuple[Path, str], Path] = {}
    matches = map(Path, glob.glob(str(pattern), recursive=True))  # noqa: PTH207  (Path.glob takes no absolute pattern)
    for match in sorted(matches, key=lambda match: len(match.parts)):
        if match.is_file():
            once.setdefault((match.parent.resolve(), match.name), match)
    return sorted(once.values())


def _is_film(file: Path) -> bool:
    return file.suffix.lower() in FILMS and not file.is_fifo()


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
    suffixes = {photo: ".mp4" if _is_film(photo) else suffix_for(photo) for photo in photos}
    for photo, suffix in sorted(suffixes.items(), key=lambda item: item[0].suffix != item[1]):
        place = photos[photo]
        target = folder / place.with_suffix(suffix)
        if target in taken:
            target = numbered(target.with_name(place.name + suffix), taken.__contains__)
        targets[photo] = target
        taken.add(target)
    return {photo: targets[photo] for photo in photos}


def _outcome(paint: Callable[..., str], file: Path, target: Path, stylizer: Stylizer, config: InferConfig) -> str:
    """Paint one of many; what became of it."""
    if target.exists() and not config.overwrite:
        return _PASSED
    try:
        return paint(file, target, stylizer, config)
    except UserError as error:
        say(f"skipped: {error}")
        return _FAILED


def _paint_photo(photo: Path, target: Path, stylizer: Stylizer, config: InferConfig) -> str:
    if images.frame_count(photo) > 1 or target.suffix.lower() == ".gif":
        from fst.media.video.paint_video import paint_video  # late: most folders hold nothing that moves

        how = {"overwrite": config.overwrite, "stabilize": config.stabilize}
        paint_video(str(photo), target, stylizer, **how, shown=False, keep_part=False)
        return _PAINTED
    pixels, metadata = images.read_with_metadata(photo)
    images.write(target, stylizer(pixels), metadata=metadata, quality=jpeg_quality(config.quality))
    return _WHITE if loses_alpha(metadata, target) else _PAINTED


def _paint_film(film: Path, target: Path, stylizer: Stylizer, config: InferConfig) -> str:
    from fst.media.video.paint_video import paint_video

    how = {name: getattr(config, name) for name in ("quality", "codec", "overwrite", "stabilize")}
    paint_video(str(film), target, stylizer, **how, keep_part=False)
    return _PAINTED
