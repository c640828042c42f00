"""figure.jpg: photos by arms, each picture labelled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fst import images, store
from fst.files import replacing
from fst.stylize import Stylizer
from studies.definition import FigureEntry

GAP = 6
LABEL = 52  # pixels of the band that names the arms
MOST_BYTES = 500_000

Row = tuple[str, np.ndarray]


def draw(
    entry: FigureEntry,
    folders: dict[str, Path],
    arms: dict[str, dict[str, Any]],
    held_out: dict[str, np.ndarray],
    path: Path,
) -> Path:
    """Paint the photos with every arm and write the grid: a band of arms a style, each beginning with the photos.

    Arms that have a style each stand in one band.
    """
    photos = shown_photos(entry, held_out)
    bands = []
    styles = dict.fromkeys(facts["style"] for facts in arms.values())
    groups = {style: [name for name in folders if arms[name]["style"] == style] for style in styles}
    if all(len(names) == 1 for names in groups.values()):
        groups = {"": list(folders)}
    for style, names in groups.items():
        for start in range(0, len(names), entry.columns - 1):
            columns = [_column(entry, style, "the photos", photos)]
            for name in names[start : start + entry.columns - 1]:
                stylizer = Stylizer.load(folders[name] / "style.safetensors", backend="torch")
                facts = f"style {arms[name]['style_ratio']:.3f}  content {arms[name]['content_loss']:.1f}"
                columns.append(_column(entry, name, facts, [stylizer(photo) for photo in photos]))
            columns += [np.full_like(columns[0], 255)] * (entry.columns - len(columns) if bands else 0)
            bands.append(np.concatenate(columns, axis=1))
    width = max(band.shape[1] for band in bands)
    bands = [np.pad(band, ((0, 0), (0, width - band.shape[1]), (0, 0)), constant_values=255) for band in bands]
    return _write(path, np.concatenate(bands))


def shown_photos(entry: FigureEntry, held_out: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The store's content/NAME.jpg, as large as they are painted; without them the first of the judged photos."""
    found = [store.find(f"content/{name}.jpg") for name in entry.photos]
    files = [images.read(path) for path in found if path] or list(held_out.values())[: len(entry.photos)]
    return [_short_side(pixels, entry.side) for pixels in files]


def _column(entry: FigureEntry, title: str, facts: str, pictures: list[np.ndarray]) -> np.ndarray:
    """A label and the middle square of each picture, the zoomed part last."""
    cells = [_square(picture, min(picture.shape[:2]), entry.cell) for picture in pictures]
    if entry.zoom:
        part = _square(pictures[0], entry.zoom, entry.zoom)
        cells.append(np.asarray(Image.fromarray(part).resize((entry.cell, entry.cell), Image.Resampling.NEAREST)))
    label = Image.new("RGB", (entry.cell, LABEL), "white")
    pen = ImageDraw.Draw(label)
    pen.text((2, 4), title, "black", _font(title, 22, entry.cell - 4))
    pen.text((2, 30), facts, "#555555", _font(facts, 17, entry.cell - 4))
    spaced = [np.asarray(label), *(np.pad(cell, ((0, GAP), (0, 0), (0, 0)), constant_values=255) for cell in cells)]
    return np.pad(np.concatenate(spaced), ((0, 0), (0, GAP), (0, 0)), constant_values=255)


def _font(text: str, size: int, room: int) -> ImageFont.ImageFont:
    """As large as asked for, smaller where the text needs it."""
    while size > 9 and ImageFont.load_default(size).getlength(text) > room:
        size -= 1
    return ImageFont.load_default(size)


def _short_side(pixels: np.ndarray, side: int) -> np.ndarray:
    height, width = pixels.shape[:2]
    scale = side / min(height, width)
    return images.resize(pixels, (round(height * scale), round(width * scale)))


def _square(pixels: np.ndarray, part: int, side: int) -> np.ndarray:
    """The middle `part`×`part` pixels at `side`×`side`."""
    top, left = ((edge - part) // 2 for edge in pixels.shape[:2])
    return images.resize(pixels, (side, side), box=(top, left, part, part))


def _write(path: Path, pixels: np.ndarray) -> Path:
    """As a JPEG of at most 500 kB, as good as that allows."""
    for quality in range(88, 30, -6):
        data = images.encode(pixels, ".jpg", quality=quality)
        if len(data) <= MOST_BYTES:
            break
    with replacing(path) as beside:
        beside.write_bytes(data)
    return path
