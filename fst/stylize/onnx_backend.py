"""The ONNX Runtime backend: as OpenVINO's, for the processors and accelerators that package is built for."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import onnxruntime

from fst.stylize.backend import Traits, pad
from fst.stylize.cache import made_once
from fst.stylize.styles import Style

GRAPH, FACTS = "network.onnx", "facts.json"
QUIET = 3  # ONNX Runtime's log level for errors alone


class OnnxBackend:
    """A style's network in ONNX Runtime, fp32, on whatever that package was built for (CPU, CUDA, DirectML, CoreML)."""

    name = "onnx"

    def __init__(self, style: Style) -> None:
        folder = made_once(style, "onnx", "", lambda folder: _make(style, folder))
        self.traits = Traits(**json.loads((folder / FACTS).read_text()))
        self.session = session(folder / GRAPH)

    def paint(self, frame: np.ndarray) -> np.ndarray:
        height, width = frame.shape[:2]
        padded = np.ascontiguousarray(pad(frame, self.traits))
        painted = self.session.run(None, {"frames": padded[None]})[0]
        return np.ascontiguousarray(painted[0, :height, :width])

    def stream(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        return map(self.paint, frames)


def session(path: Path) -> onnxruntime.InferenceSession:
    """A file opened in ONNX Runtime with every provider that it has."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = QUIET
    return onnxruntime.InferenceSession(path, options, providers=onnxruntime.get_available_providers())


def _make(style: Style, folder: Path) -> None:
    from fst.stylize.graph import write_frames

    network = style.network()
    write_frames(network, folder / GRAPH)
    (folder / FACTS).write_text(json.dumps(dataclasses.asdict(Traits.of(network))))
