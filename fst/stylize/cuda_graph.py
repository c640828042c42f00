"""Work of a GPU that is recorded once for each size of its inputs and then replayed, without launching each kernel."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


class CudaGraph:
    """A function of tensors on a GPU; the latest sizes that came twice in a row are one CUDA graph.

    A style's network is some hundred kernels, and at 640×480 the host takes longer to launch them than the GPU to run
    them. Recording takes as long as a few calls, so inputs of sizes that come once are worked on as they are.

    Args:
        work: returns one tensor, reads nothing from the GPU and decides nothing by values.
        device: the GPU.
    """

    def __init__(self, work: Callable[..., Tensor], device: torch.device) -> None:
        self._work, self._device = work, device
        self._sizes: tuple[torch.Size, ...] = ()
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: tuple[Tensor, ...] = ()
        self._output: Tensor | None = None

    def __call__(self, *inputs: Tensor) -> Tensor:
        """What the function makes of inputs of any device; it is overwritten by the next call."""
        sizes = tuple(one.shape for one in inputs)
        if sizes != self._sizes:
            self._sizes, self._graph, self._inputs, self._output = sizes, None, (), None
            return self._work(*(one.to(self._device) for one in inputs))
        if self._graph is None:
            self._record(inputs)
        for held, given in zip(self._inputs, inputs, strict=True):
            held.copy_(given)
        self._graph.replay()
        return self._output

    def _record(self, inputs: tuple[Tensor, ...]) -> None:
        self._inputs = tuple(one.to(self._device, copy=True) for one in inputs)
        stream = torch.cuda.Stream(self._device)
        stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(stream):
            self._work(*self._inputs)  # libraries allocate what they need on a stream before they may be recorded
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            self._output = self._work(*self._inputs)
        self._graph = graph
