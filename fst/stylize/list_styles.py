"""`python infer.py styles`: the bundled styles at a glance."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from fst import stylefile
from fst.errors import UserError


def print_styles() -> None:
    """Print each bundled style's name, network, size and painting.

    Raises:
        UserError: none is bundled, or one is damaged.
    """
    shelf = stylefile.bundled()
    if not shelf:
        raise UserError("this copy of fst has no bundled styles: train one with python train.py style=gogh")
    table = Table(box=None, pad_edge=False)
    for column in ("style", "network", "kB", "painting", "artist", "year"):
        table.add_column(column, justify="right" if column in ("kB", "year") else "left")
    for name, path in shelf.items():
        info = stylefile.read_info(path)
        about = [str(info.style.get(key) or "") for key in ("title", "artist", "year")]
        table.add_row(name, info.network, f"{path.stat().st_size / 1000:.0f}", *about)
    Console().print(table)
