"""Which backend paints: the one asked for, or the fastest that this machine has."""

from __future__ import annotations

import functools
import importlib.util
import sys
from pathlib import Path

from fst.errors import UserError, near, require
from fst.stylize.backend import Backend
from fst.stylize.many import Many, Style, of_many

BACKENDS = ("torch", "openvino")
PRECISIONS = ("auto", "f32", "bf16", "int8")


def load(name: str, style: Style, *, live: bool = False, precision: str = "auto") -> Backend:
    """The backend of that name ("auto": the fastest that this machine has) with a style's network.

    Args:
        name: "auto", "torch" or "openvino".
        style: the style.
        live: frames are a camera's.
        precision: "auto", or "f32", "bf16" or "int8" of OpenVINO; torch knows f32 alone.

    Raises:
        UserError: no such backend or precision, they do not go together, or a package is not installed.
    """
    if precision not in PRECISIONS:
        raise UserError(f"unknown precision '{precision}'{near(precision, list(PRECISIONS))}")
    if name == "auto":
        name = _fastest() if precision == "auto" else "openvino"
    if name not in BACKENDS:
        raise UserError(f"unknown backend '{name}'{near(name, ['auto', *BACKENDS])}")
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
