"""What runs a style's network on frames, and which of them paints: the one asked for, or the fastest here."""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from fst.errors import UserError, require
from fst.stylize.many import Many, Style, of_many
from fst.values import one_of

if TYPE_CHECKING:
    from fst.networks import Network
    from fst.stylize.planes import Planes

BACKENDS = ("auto", "torch", "openvino")
PRECISIONS = ("auto", "f32", "bf16", "int8")


@dataclass(frozen=True)
class Traits:
    """What must be known of a `fst.networks.Network` to prepare frames for it, without torch."""

    multiple: int
    smallest: int
    full_resolution: bool
    strips: bool  # whether it can be computed a few rows at a time

    @classmethod
    def of(cls, network: Network) -> Traits:
        """The traits of a torch network."""
        from fst.stylize.strips import runs_in_strips

        return cls(network.multiple, network.smallest, network.full_resolution, runs_in_strips(network))


class Backend(Protocol):
    """Runs a style's network on uint8 (H, W, 3) RGB frames of any size; what comes back has the same size.

    Attributes:
        bytes_per_pixel: of memory that painting a frame takes, about (experiments/speed/memory.py).
        streamed: frames of a stream that are painted at once.
        takes_planes: whether frames of a stream may be `Planes`; painted ones are, then.
    """

    traits: Traits
    bytes_per_pixel: int
    streamed: int
    takes_planes: bool

    def stylize(self, frame: np.ndarray, vector: np.ndarray | None) -> np.ndarray:
        """One frame, as soon as possible; by a style vector (V,), where the style is one of a file of many."""

    def stream(self, frames: Iterable[tuple[np.ndarray | Planes, np.ndarray | None]]) -> Iterator[np.ndarray | Planes]:
        """Many frames and their style vectors, in order, as many a second as possible."""


def load_backend(name: str, style: Style, *, live: bool = False, precision: str = "auto") -> Backend:
    """The backend of that name with a style's network; arguments as `fst.stylize.Stylizer.load`'s.

    Raises:
        UserError: no such backend or precision, they do not go together, or a package is not installed.
    """
    one_of("precision", precision, PRECISIONS)
    one_of("backend", name, BACKENDS)
    if name == "auto":
        name = _fastest() if precision == "auto" else "openvino"
    if name == "openvino":
        require("openvino", "backend=openvino", otherwise="backend=torch")
    elif precision not in ("auto", "f32"):
        raise UserError(f"precision={precision} is OpenVINO's: backend={name} paints in f32; omit one of them")
    return _load(name, style, live, precision) if style.many is None else _shared(name, style.many, live, precision)


def _load(name: str, style: Style, live: bool, precision: str) -> Backend:
    if name == "openvino":
        from fst.stylize.openvino_backend import OpenVinoBackend

        return OpenVinoBackend(style, live=live, precision=precision)
    from fst.stylize.torch_backend import TorchBackend

    return TorchBackend(style)


@functools.lru_cache(maxsize=1)
def _shared(name: str, many: Many, live: bool, precision: str) -> Backend:
    """One backend for all styles of a file of many: it takes their style vectors with the frames."""
    return _load(name, of_many(many, many.path.stem, many.table[:1]), live, precision)


def _fastest() -> str:
    """torch where it has an accelerator, else OpenVINO; judged without importing torch, which takes seconds."""
    if importlib.util.find_spec("openvino") is None:
        return "torch"
    if sys.platform == "darwin" or Path("/proc/driver/nvidia/version").exists():
        from fst.stylize.torch_backend import device

        if device().type != "cpu":
            return "torch"
    return "openvino"
