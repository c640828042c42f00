"""What a backend is, and which one suits this machine."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from fst.errors import UserError, near
from fst.stylize.styles import Style

if TYPE_CHECKING:
    from fst.networks import Network

BACKENDS = ("torch", "openvino", "onnx")
PRECISIONS = ("auto", "f32", "bf16", "int8")


@dataclass(frozen=True)
class Traits:
    """What must be known of a network to prepare frames for it; see `fst.networks.Network`.

    Attributes:
        multiple, smallest: of a frame's height and width.
        full_resolution: whether it has features as large as the frame.
        strips: whether it can be computed a few rows at a time.
    """

    multiple: int
    smallest: int
    full_resolution: bool
    strips: bool

    @classmethod
    def of(cls, network: Network) -> Traits:
        """Those of a torch network."""
        from fst.stylize.row_layers import runs_in_strips

        return cls(network.multiple, network.smallest, network.full_resolution, runs_in_strips(network))


class Backend(Protocol):
    """Runs a style's network on uint8 (H, W, 3) RGB frames of any size; what comes back has the same size."""

    name: str
    traits: Traits

    def paint(self, frame: np.ndarray) -> np.ndarray:
        """One frame, as soon as possible."""

    def stream(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Many frames, in order, as many a second as possible."""


def load(
    name: str, style: Style, *, live: bool = False, precision: str = "auto", calibration: str | None = None
) -> Backend:
    """The backend of that name ("auto": the fastest that this machine has) with a style's network.

    Args:
        name: "auto", "torch", "openvino" or "onnx".
        style: the style.
        live: frames are a camera's.
        precision: "auto", or "f32", "bf16" or "int8" of OpenVINO; the other backends know f32 alone.
        calibration: for int8, a folder of photos to measure the layers' ranges on; None: made pictures.

    Raises:
        UserError: no such backend or precision, they do not go together, or a package is not installed.
    """
    if precision not in PRECISIONS:
        raise UserError(f"unknown precision '{precision}'{near(precision, list(PRECISIONS))}")
    if calibration is not None and precision != "int8":
        raise UserError("calibration= is for precision=int8: add that, or leave calibration= away")
    if name == "auto":
        name = _fastest() if precision == "auto" else "openvino"
    if name not in BACKENDS:
        raise UserError(f"unknown backend '{name}'{near(name, ['auto', *BACKENDS])}")
    if name == "openvino":
        require("openvino", "backend=openvino")
        from fst.stylize.openvino_backend import OpenVinoBackend

        return OpenVinoBackend(style, live=live, precision=precision, calibration=calibration)
    if precision not in ("auto", "f32"):
        raise UserError(f"precision={precision} is OpenVINO's: backend={name} paints in f32; leave one of them away")
    if name == "onnx":
        require("onnxruntime", "backend=onnx")
        from fst.stylize.onnx_backend import OnnxBackend

        return OnnxBackend(style)
    from fst.stylize.torch_backend import TorchBackend

    return TorchBackend(style)


def require(package: str, wanted_by: str, *, otherwise: str = "backend=torch") -> None:
    """Raise a UserError that says how to install an optional package, or do without, if it is missing."""
    if importlib.util.find_spec(package) is None:
        raise UserError(f"{wanted_by} needs the package {package}: pip install {package}, or choose {otherwise}")


def _fastest() -> str:
    """torch where it has an accelerator, else OpenVINO; judged without importing torch, which takes seconds."""
    if importlib.util.find_spec("openvino") is None:
        return "torch"
    if sys.platform == "darwin" or Path("/proc/driver/nvidia/version").exists():
        from fst.stylize.torch_backend import device

        if device().type != "cpu":
            return "torch"
    return "openvino"


def pad(frame: np.ndarray, traits: Traits) -> np.ndarray:
    """A frame grown at the bottom and right to what a network takes: `fst.networks.Network`, in uint8."""
    height, width = frame.shape[:2]
    bottom = max(-height % traits.multiple, traits.smallest - height)
    right = max(-width % traits.multiple, traits.smallest - width)
    if bottom == 0 and right == 0:
        return frame
    mode = cv2.BORDER_REFLECT_101 if bottom < height and right < width else cv2.BORDER_REPLICATE
    return cv2.copyMakeBorder(frame, 0, bottom, 0, right, mode)
