"""A style on disk, and files of many styles: those that they know by name, and those that they read from a painting.

A file of many is a `fst.networks.conditional.Conditional`. A style of it is a vector; a mixture of styles is the
weighted mean of their vectors (Dumoulin et al. 2017). Names and mixtures need no torch, reading a painting does.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import safetensors

from fst import images, stylefile
from fst.errors import UserError
from fst.stylefile import StyleInfo
from fst.stylize.cache import made_once

if TYPE_CHECKING:
    from fst.networks import Network
    from fst.networks.conditional import Conditional

PAINTING_SIZE = 512  # of a painting's long edge: as trained
NARROWEST = 32  # pixels of its short edge, as it comes and then: in fewer no brush stroke is seen
LARGEST = 4096  # pixels of its long edge when it is read: that takes some gigabytes
PLAIN = 4.0  # levels of 255: a painting whose colours deviate less is a wall; what is read of it would be wild


@dataclass(frozen=True, eq=False)
class Many:
    """A file of many styles: what it says of itself, and float32 (styles, V), a style vector each."""

    path: Path
    info: StyleInfo
    table: np.ndarray

    @property
    def names(self) -> list[str]:
        """The styles' names, in the table's order."""
        return self.info.settings["styles"]

    def network(self) -> Conditional:
        """The torch network, in fp32 and evaluation mode."""
        return stylefile.load(self.path)[0]

    def vector(self, name: str) -> np.ndarray:
        """The style vector (V,) of one of its names."""
        return self.table[self.names.index(name)]

    def read(self, painting: Path, size: int) -> np.ndarray:
        """The style vector (V,) of a painting with its long edge at `size` pixels; kept, so that torch is needed once.

        Raises:
            UserError: as `fitted`, or the file is no image or damaged.
        """
        if not painting.exists():
            raise UserError(f"painting {painting} does not exist")

        def make(folder: Path) -> None:
            pixels = images.read(painting, at_least=size)
            try:
                pixels = self.fitted(pixels, size)
            except UserError as error:
                raise UserError(f"style={painting}: {error}") from None
            np.save(folder / "vector.npy", self.read_pixels(pixels))

        sources = (self.path, painting, str(size).encode())
        return np.load(made_once(f"reading painting {painting.name}", "painting", sources, make) / "vector.npy")

    def fitted(self, painting: np.ndarray, size: int) -> np.ndarray:
        """A painting, uint8 (H, W, 3) RGB, as it is read: its long edge at `size` pixels.

        Raises:
            UserError: the painting is tiny, a narrow strip or of one colour, or this file has no predictor.
        """
        if not self.info.settings.get("predictor"):
            raise UserError(f"{self.path} reads no paintings: its network was trained without a predictor")
        height, width = images.fit_long_edge(*painting.shape[:2], size)
        for (tall, wide), why in ((painting.shape[:2], ""), ((height, width), f": painting_size is {size}")):
            if min(tall, wide) < NARROWEST:
                raise UserError(f"a painting of {wide}x{tall} pixels is too small or narrow to read a style from{why}")
        painting = images.resize(painting, (height, width))
        if painting.std((0, 1)).max() < PLAIN:
            raise UserError("the painting is almost a single colour: there is no style in it to read")
        return painting

    def read_pixels(self, painting: np.ndarray) -> np.ndarray:
        """The style vector (V,) of a `fitted` painting (Ghiasi et al. 2017)."""
        import torch

        from fst.losses.student import read, student

        with torch.inference_mode():
            vector = self.network().predictor(read(student(), [images.to_tensor(painting)]))
        return vector[0].numpy()


@dataclass(frozen=True)
class Style:
    """A style on disk, its weights not yet read."""

    name: str  # short, fit for a file name
    path: Path  # of the file its weights are in; backends key their caches by its contents
    info: StyleInfo
    network: Callable[[], Network]  # builds its torch network, in fp32 and evaluation mode
    many: Many | None = None  # the file of many styles that it is from; None: it has a network of its own
    vectors: np.ndarray | None = None  # float32 (S, V), of that file: one, or the stops of a style that moves

    def shared(self) -> Network:
        """The torch network that backends run: of a style of a file of many that file's, which takes its vector too."""
        return (self.many or self).network()


def of_many(many: Many, name: str, vectors: np.ndarray) -> Style:
    """A style of a file of many: style vectors (S, V) and what they are called."""
    info = dataclasses.replace(many.info, name=name, style=many.info.style.get("paintings", {}).get(name, {}))

    def network() -> Network:
        import torch

        return many.network().folded(torch.from_numpy(vectors[:1]))

    return Style(file_name(name), many.path, info, network, many, vectors)


def file_name(name: str) -> str:
    """A name, fit for a file's."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "style"


def is_many(info: StyleInfo) -> bool:
    """Whether a style file holds many styles."""
    return isinstance(info.settings.get("styles"), list)


def opened(path: Path) -> Many:
    """A file of many styles.

    Raises:
        UserError: the file is missing, damaged, holds a single style, or is another version's.
    """
    stat = path.stat() if path.exists() else None
    return _opened(path, stat and (stat.st_mtime_ns, stat.st_size))


@functools.lru_cache(maxsize=8)  # one object a file: what is compiled for it is shared by its styles
def _opened(path: Path, _: object) -> Many:
    info = stylefile.read_info(path)
    if not is_many(info):
        raise UserError(f"{path} holds a single style: name it without ':'")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            table = file.get_tensor("table").astype(np.float32)
    except safetensors.SafetensorError:
        table = np.zeros(0)
    if table.ndim != 2 or len(table) != len(info.settings["styles"]):
        raise UserError(f"{path} is of another version of fst, or damaged: its table is not one of its styles")
    return Many(path, info, table)


def bundled() -> Many:
    """The file of many styles that comes with fst."""
    return opened(stylefile.BUNDLED / stylefile.MANY)


def along(stops: np.ndarray, count: int) -> Iterator[np.ndarray]:
    """Style vectors (V,) of `count` frames that move at one pace from each of the stops (S, V) to the next."""
    for place in np.linspace(0, len(stops) - 1, count):
        first = min(int(place), len(stops) - 2)
        share = np.float32(place - first)
        yield (1 - share) * stops[first] + share * stops[first + 1]
