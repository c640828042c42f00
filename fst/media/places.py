"""Where what is painted comes from and goes."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from fst.errors import UserError

STANDARD = "-"  # standard input or output


def target_of(stem: str, suffix: str, style: str, output: str | None, *, several: bool = False) -> Path:
    """Where what is painted from one photo or film goes.

    To `output`, a file or a folder; without it to STEM-STYLE in the current folder. What is no folder yet is one where
    it ends in / or has no suffix. With `several` styles, a file's name gets the style's.

    Raises:
        UserError: a file is where the folder would be.
    """
    named = f"{stem}-{style}{suffix}"
    if output is None:
        return Path(named)
    target = Path(output)
    if target.is_dir() or output.endswith(("/", os.sep)) or not target.suffix:
        if target.exists() and not target.is_dir():
            raise UserError(f"output={output} is no folder: name one, or a file that ends in {suffix}")
        return target / named
    return target.with_stem(f"{target.stem}-{style}") if several else target


def numbered(path: Path, taken: Callable[[Path], bool] = Path.exists) -> Path:
    """The path, or the first of PATH-2, PATH-3, ... that is not taken."""
    more = (path.with_stem(f"{path.stem}-{number}") for number in itertools.count(2))
    return next(name for name in itertools.chain([path], more) if not taken(name))


def is_address(source: str) -> bool:
    """Whether a source is an address (rtsp://, http://, ...) and not a file's name."""
    return "://" in source


def without_password(source: str) -> str:
    """A source as it may be shown: an address without the user and password in it."""
    parts = urlsplit(source) if is_address(source) else None
    if parts is None or "@" not in parts.netloc:
        return source
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
