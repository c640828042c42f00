"""Figures of measurements: plots by matplotlib, sheets of labelled pictures, JPEGs of bounded size."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fst import images
from fst.errors import require
from fst.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GAP = 6
LABEL = 52  # pixels above a column that has a title and a line below it
INK, PALE = "#222222", "#555555"
MOST_BYTES = 500_000
COLUMNS, PANEL = 3, (4.6, 3.6)  # of a plot: panels side by side; a panel's width and height in inches


@contextlib.contextmanager
def plot(path: Path, panels: int) -> Iterator[np.ndarray]:
    """matplotlib axes (rows, COLUMNS at most) for so many panels, written to `path` (.png, .jpg, .svg) in the end.

    Without matplotlib a UserError says how to install it.
    """
    require("matplotlib", str(path))
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    wide = min(panels, COLUMNS)
    high = -(-panels // wide)
    figure, axes = pyplot.subplots(high, wide, figsize=(PANEL[0] * wide, PANEL[1] * high), squeeze=False)
    for axis in axes.flat[panels:]:
        axis.set_axis_off()
    try:
        yield axes
        figure.tight_layout()
        with replacing(path) as beside:
            figure.savefig(beside, dpi=100)
    finally:
        pyplot.close(figure)


def points(axis: Axes, series: dict[str, Sequence[tuple[float, float]]]) -> None:
    """Points (x, y) by name, joined; the y axis begins at zero."""
    for name, found in series.items():
        axis.plot([x for x, _ in found], [y for _, y in found], "o-", ms=4, label=name)
    axis.margins(0.1)
    axis.set_ylim(0, None)
    if len(series) > 1:
        axis.legend(frameon=False, fontsize=8)


def enlarged(pixels: np.ndarray, width: int) -> np.ndarray:
    """uint8 (H, W, 3) at another width, each pixel a block."""
    height = round(pixels.shape[0] * width / pixels.shape[1])
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.NEAREST))


def column(title: str, below: str, pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures of equal size, uint8 (H, W, 3), under each other, below a title and a line of facts."""
    width = pictures[0].shape[1]
    label = Image.new("RGB", (width, LABEL), "white")
    pen = ImageDraw.Draw(label)
    pen.text((2, 4), title, INK, _font(title, 22, width - 4))
    pen.text((2, 30), below, PALE, _font(below, 17, width - 4))
    spaced = [np.asarray(label), *(np.pad(cell, ((0, GAP), (0, 0), (0, 0)), constant_values=255) for cell in pictures)]
    return np.concatenate(spaced)


def bands(columns: Sequence[np.ndarray], most: int) -> np.ndarray:
    """Columns side by side, in bands of `most`; each band begins with the first column."""
    first, *rest = columns
    rows = [[first, *rest[start : start + most - 1]] for start in range(0, max(len(rest), 1), max(most - 1, 1))]
    wide = max(len(row) for row in rows)
    rows = [row + [np.full_like(first, 255)] * (wide - len(row)) for row in rows]
    spaced = [[np.pad(cell, ((0, 0), (0, GAP), (0, 0)), constant_values=255) for cell in row] for row in rows]
    return np.concatenate([np.concatenate(row, axis=1) for row in spaced])


def write_jpeg(path: Path, pixels: np.ndarray, most: int = MOST_BYTES) -> Path:
    """Write uint8 (H, W, 3) as the best JPEG of at most so many bytes, or as the smallest there is."""
    for quality in range(92, 30, -4):
        data = images.encode(pixels, ".jpg", quality=quality)
        if len(data) <= most:
            break
    with replacing(path) as beside:
        beside.write_bytes(data)
    return path


def _font(text: str, size: int, room: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """As large as asked for, smaller where the text needs it."""
    while size > 9 and ImageFont.load_default(size).getlength(text) > room:
        size -= 1
    return ImageFont.load_default(size)
