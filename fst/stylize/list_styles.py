"""`python infer.py styles`: the styles that come with fst at a glance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table

from fst import stylefile
from fst.errors import UserError
from fst.stylize import many


def print_styles() -> None:
    """Print name, network and painting of each bundled style, and its losses on photos that training did not see.

    Raises:
        UserError: none is bundled, or one is damaged.
    """
    styles = [*_single(), *_of_many()]
    if not styles:
        raise UserError("this copy of fst has no bundled styles: train one with python train.py style=gogh")
    table = Table(box=None, pad_edge=False)
    for column in ("style", "network", "content", "objective", "painting", "artist", "year"):
        table.add_column(column, justify="right" if column in ("content", "objective", "year") else "left")
    for name, network, losses, painting in styles:
        figures = [f"{loss:.1f}" if isinstance(loss, (int, float)) else "" for loss in losses]
        about = [str(painting.get(key) or "") for key in ("title", "artist", "year")]
        table.add_row(name, network, *figures, *about)
    Console().print(table)


Row = tuple[str, str, tuple[Any, Any], dict[str, Any]]


def _single() -> Iterator[Row]:
    for name, path in stylefile.bundled().items():
        info = stylefile.read_info(path)
        losses = info.training.get("losses", {})
        yield name, info.network, (losses.get("val/content_loss"), losses.get("val/loss")), info.style


def _of_many() -> Iterator[Row]:
    """The styles of the bundled file of many: mixed with each other, and painted live, these are taken."""
    found = many.bundled()
    for name in found.names if found else ():
        losses = found.info.training.get("by_style", {}).get(name, {})
        painting = found.info.style.get("paintings", {}).get(name, {})
        yield name, found.info.network, (losses.get("content"), losses.get("total")), painting
