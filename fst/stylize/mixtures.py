"""Styles of a file of many as they are written: NAME or painting, `a:0.7,b:0.3`, `a>b`."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from fst import images, stylefile
from fst.errors import UserError, near
from fst.stylize.many import Style, bundled, of_many, opened

SHARE = re.compile(r"(.+):\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)", re.IGNORECASE)  # NAME:0.7
OF_FILE = re.compile(r"(.+\.safetensors):(.+)")


def is_painting(path: Path) -> bool:
    """Whether a file is a picture, or is called one."""
    return images.frame_count(path) > 0 or images.is_image(path.name)


def moving(text: str, size: int) -> Style:
    """The style that a film moves through, `a>b`; most often a single one.

    Args:
        text: as written after `style=`.
        size: long edge in pixels at which a painting is read.

    Raises:
        UserError: a style that is not there, or a mixture that makes no sense.
    """
    stops = [_mixture(stop, size) for stop in text.split(">")]
    vectors = _vectors(text, stops)
    return stops[0] if len(stops) == 1 else of_many(stops[0].many, "-to-".join(stop.name for stop in stops), vectors)


def _mixture(text: str, size: int) -> Style:
    """The style of a mixture, `a:0.7,b:0.3`; most often a single one."""
    shares = _shares(text)
    styles = [_one(name, size) for name in shares]
    vectors = _vectors(text, styles)
    if len(styles) == 1:
        return styles[0]
    name = "-".join(f"{style.name}{100 * share:.0f}" for style, share in zip(styles, shares.values(), strict=True))
    return of_many(styles[0].many, name, np.float32([*shares.values()])[None] @ vectors)


def _shares(text: str) -> dict[str, float]:
    """The styles that have a share in a mixture, and their shares, whose sum is 1."""
    parts = [part.strip() for part in text.split(",")]
    found = [SHARE.fullmatch(part) for part in parts]
    if parts == [text.strip()] and found == [None]:
        return {text.strip(): 1.0}
    if not all(found):
        raise UserError(f"style={text} needs a share for each style of a mixture, as in style=gogh:0.7,hokusai:0.3")
    names, shares = [part[1] for part in found], [float(part[2]) for part in found]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"style={text} names {name} twice: give it one share")
    if not (0 < sum(shares) < 1e9 and min(shares) >= 0):
        raise UserError(f"style={text}: shares are 0 or more, and not all 0, as in style=gogh:0.7,hokusai:0.3")
    return {name: share / sum(shares) for name, share in zip(names, shares, strict=True) if share > 0}


def _vectors(text: str, styles: list[Style]) -> np.ndarray:
    """The styles' vectors, (styles, V)."""
    if any(style.many is not styles[0].many for style in styles):
        raise UserError(f"style={text} names styles of different files of many styles, which do not mix")
    return np.concatenate([style.vectors for style in styles])


def _one(text: str, size: int) -> Style:
    """A style of a file of many: FILE.safetensors:NAME, or the bundled file's, by its name or a painting."""
    file = OF_FILE.fullmatch(text)
    many, name = (opened(Path(file[1]).expanduser()), file[2]) if file else (bundled(), text)
    if many is not None and name in many.names:
        return of_many(many, name, many.vector(name)[None])
    painting = Path(name).expanduser()
    if many is not None and is_painting(painting):
        return of_many(many, painting.stem, many.read(painting, size)[None])
    shelf = stylefile.bundled()
    if many is None and is_painting(painting):
        raise UserError(f"style={text} is a painting, and this copy of fst has no file of many styles to read it")
    if painting.suffix == ".ckpt" or len(painting.parts) > 1:
        raise UserError(f"style {text} does not exist; name a bundled style, a style file, a painting or a run folder")
    if many is None and not shelf:
        raise UserError(f"unknown style '{text}': this copy of fst has no bundled styles; name a style file")
    if text in shelf:
        raise UserError(f"style '{text}' has a network of its own, which does not mix")
    raise UserError(f"unknown style '{name}'{near(name, [*({} if file else shelf), *(many.names if many else [])])}")
