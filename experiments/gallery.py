"""Photos × styles as one picture: python experiments/gallery.py [PHOTO...] [--output FILE.jpg]

Without photos, four that FST_HOME holds (content/*.jpg). Every photo is cropped to 4:3, painted at --size pixels and
shown at --width; the first row is the photos, every other a bundled style (those of the real-time network, or --styles
NAME ...); or, with --paintings FILE ..., a painting and what the network of many styles reads of it. The JPEG's quality
is lowered until it takes at most 600 kB.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fst import images, store, stylefile
from fst.errors import UserError, one_line_errors
from fst.evaluate.figures import write_jpeg
from fst.stylize import Stylizer

PHOTOS = ("bridge", "tubingen", "chicago", "golden_gate")
MOST_BYTES = 600_000
ASPECT = 4 / 3
GAP, LABEL, PAPER, INK = 6, 30, (255, 255, 255), (40, 40, 40)


def find_photos(named: list[Path]) -> list[Path]:
    """The photos named, else four of the store.

    Raises:
        UserError: none is named and the store has none.
    """
    if named:
        return named
    found = [path for name in PHOTOS if (path := store.find(f"content/{name}.jpg"))]
    if not found:
        raise UserError(f"{store.home()}/content holds no photos: name some, as in gallery.py photo.jpg")
    return found


def cropped(pixels: np.ndarray, width: int) -> np.ndarray:
    """The middle of a photo in the gallery's aspect."""
    height, wide = pixels.shape[:2]
    across = min(wide, height * ASPECT)
    down = across / ASPECT
    box = ((height - down) / 2, (wide - across) / 2, down, across)
    return images.resize(pixels, (round(width / ASPECT), width), box=box)


def label(info: stylefile.StyleInfo) -> str:
    """The line over a row: the painting, who painted it, and by which network it is painted here."""
    about = [str(info.style.get(key)) for key in ("title", "artist", "year") if info.style.get(key)]
    return " · ".join([", ".join(about) or info.name, info.network])


def page(rows: list[tuple[str, list[np.ndarray]]]) -> np.ndarray:
    """Rows of equal pictures under their labels."""
    height, width = rows[0][1][0].shape[:2]
    down = LABEL + height + GAP
    sheet = Image.new("RGB", (len(rows[0][1]) * (width + GAP) - GAP, len(rows) * down - GAP), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(17)
    for row, (text, pictures) in enumerate(rows):
        draw.text((2, row * down + 5), text, INK, font)
        for column, picture in enumerate(pictures):
            sheet.paste(Image.fromarray(picture), (column * (width + GAP), row * down + LABEL))
    return np.asarray(sheet)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="*", type=Path)
    parser.add_argument("--paintings", nargs="+", type=Path, help="any paintings, in place of the bundled styles")
    parser.add_argument("--styles", nargs="+", help="bundled styles, in place of those of the real-time network")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("gallery.jpg"))
    parser.add_argument("--width", type=int, default=320, help="of each picture, in pixels")
    parser.add_argument("--size", type=int, default=640, help="long edge at which a photo is painted")
    chosen = parser.parse_args()
    if not 64 <= chosen.width <= chosen.size:
        raise UserError(f"--width={chosen.width} should lie between 64 and --size={chosen.size}")
    shelf = stylefile.bundled()
    if not shelf:
        raise UserError("no styles are bundled: python experiments/bundle.py puts a run's among them")
    photos = [cropped(images.read(path), chosen.size) for path in find_photos(chosen.photos)]

    def shrunk(pictures: list[np.ndarray]) -> list[np.ndarray]:
        return [images.resize(picture, (round(chosen.width / ASPECT), chosen.width)) for picture in pictures]

    if chosen.paintings:
        rows = [
            ("", shrunk([cropped(images.read(file), chosen.size), *map(Stylizer.load(file), photos)]))
            for file in chosen.paintings
        ]
    else:
        rows = [("Photos that no network saw", shrunk(photos))]
        for name in chosen.styles or [name for name in shelf if stylefile.read_info(shelf[name]).network == "realtime"]:
            stylizer = Stylizer.load(name)
            rows.append((label(stylizer.info), shrunk(list(map(stylizer, photos)))))
    write_jpeg(chosen.output, page(rows), MOST_BYTES)
    print(f"{chosen.output}: {len(photos)} photos, {chosen.output.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    with one_line_errors():
        main()
