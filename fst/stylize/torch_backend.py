"""The torch backend: CUDA or MPS where there is one, and on the CPU the reference that the others are held against."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Iterator

import numpy as np
import torch

from fst import images
from fst.stylize.backend import Traits
from fst.stylize.cuda_graph import CudaGraph
from fst.stylize.many import Style
from fst.system import keep_memory

REPLAYED = 1 << 20  # pixels: of larger frames the GPU, not the launching of kernels, takes the time (experiments/gpu)


def device() -> torch.device:
    """The accelerator that torch has, or the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


class TorchBackend:
    """A style's network in fp32, channels last."""

    streamed, takes_planes = 1, False

    def __init__(self, style: Style) -> None:
        self.device = device()
        if self.device.type == "cpu":
            keep_memory()
        network = style.shared()
        self.traits = Traits.of(network)
        self.bytes_per_pixel = 1100 if self.traits.full_resolution else 220
        self.network = network.to(self.device, memory_format=torch.channels_last)
        self.replayed = CudaGraph(self._paint, self.device) if self.device.type == "cuda" else None
        self.lock = threading.Lock()  # a network of many styles holds a picture's vector while it paints

    @torch.inference_mode()
    def stylize(self, frame: np.ndarray, vector: np.ndarray | None) -> np.ndarray:
        levels = torch.from_numpy(np.require(frame, requirements=["C", "W"]))
        vectors = () if vector is None else (torch.from_numpy(vector)[None],)
        paint = self.replayed if self.replayed is not None and levels.numel() <= 3 * REPLAYED else self._paint
        with self.lock:
            return paint(levels, *vectors).cpu().contiguous().numpy()

    def _paint(self, levels: torch.Tensor, *vectors: torch.Tensor) -> torch.Tensor:
        """uint8 (H, W, 3) of a frame -> of the painted one."""
        levels, *vectors = (one.to(self.device) for one in (levels, *vectors))
        image = images.from_levels(levels)  # of a contiguous HWC array: channels last already
        return images.to_levels(self.network(image, *vectors))

    def stream(self, frames: Iterable[tuple[np.ndarray, np.ndarray | None]]) -> Iterator[np.ndarray]:
        return itertools.starmap(self.stylize, frames)
