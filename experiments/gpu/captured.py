"""A training step that runs without the host: random numbers, crops, losses and optimizer in one CUDA graph.

Several of them on streams of their own fill a GPU that a network of half a million parameters leaves idle.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from fst.methods.muon import orthogonal

WARM_UP = 50
CLIP = 30.0  # as trainer.gradient_clip_val has it


@functools.cache
def compiled(work: Callable) -> Callable:
    """A function compiled for each shape that it is given, once for all models that are handed to it."""
    torch._dynamo.config.recompile_limit = 64
    return torch.compile(work, dynamic=False)


class Optimizer:
    """`fst.methods.muon.MuonAdam` for a graph: rates are tensors, and the schedule is computed on the device.

    Args:
        kernels: by Muon.
        others: by Adam, each with its rate.
        steps: of the whole run: rates grow for `WARM_UP` steps and fall to zero as a cosine.
    """

    def __init__(
        self, kernels: list[nn.Parameter], others: dict[float, list[nn.Parameter]], steps: int, muon_lr: float
    ) -> None:
        self.by_shape: dict[torch.Size, list[nn.Parameter]] = {}
        for kernel in kernels:
            self.by_shape.setdefault(kernel.shape, []).append(kernel)
        device = next(iter(self.by_shape.values()))[0].device
        self.momentum = {
            shape: torch.zeros(len(group), shape[0], shape[1:].numel(), device=device)
            for shape, group in self.by_shape.items()
        }
        self.steps, self.muon_lr = steps, muon_lr
        self.step_number = torch.zeros((), device=device)
        self.parameters = [*kernels, *(one for group in others.values() for one in group)]
        self.others = [(rate, group) for rate, group in others.items() if group]
        self.moments = [
            ([torch.zeros_like(one) for one in group], [torch.zeros_like(one) for one in group])
            for _, group in self.others
        ]

    @torch.no_grad()
    def step(self) -> None:
        self._clip()
        rate = ((self.step_number + 1) / WARM_UP).clamp(max=1) * 0.5
        rate = rate * (1 + torch.cos(math.pi * (self.step_number / self.steps).clamp(max=1)))
        self.step_number += 1
        for shape, group in self.by_shape.items():
            gradient = torch.stack([kernel.grad.reshape(shape[0], -1) for kernel in group])
            average = self.momentum[shape].lerp_(gradient, 0.05)
            update = orthogonal(gradient.lerp(average, 0.95)) * max(1.0, shape[0] / shape[1:].numel()) ** 0.5
            update = (update * (-self.muon_lr * rate)).unbind()
            torch._foreach_add_(group, [one.view(shape) for one in update])
        beta1, beta2 = 0.9, 0.999
        for (lr, group), (means, squares) in zip(self.others, self.moments, strict=True):
            gradients = [parameter.grad for parameter in group]
            torch._foreach_lerp_(means, gradients, 1 - beta1)
            torch._foreach_mul_(squares, beta2)
            torch._foreach_addcmul_(squares, gradients, gradients, 1 - beta2)
            size = torch._foreach_div(squares, 1 - beta2**self.step_number)
            torch._foreach_sqrt_(size)
            torch._foreach_add_(size, 1e-8)
            update = torch._foreach_div(means, size)
            torch._foreach_mul_(update, -lr * rate / (1 - beta1**self.step_number))
            torch._foreach_add_(group, update)

    def _clip(self) -> None:
        """Gradients no longer than `CLIP` together, and 0 where they are no numbers, as of a sky of one colour."""
        gradients = [one.grad for one in self.parameters]
        for gradient in gradients:
            gradient.nan_to_num_(0, 0, 0)
        norm = torch.stack(torch._foreach_norm(gradients)).norm()
        torch._foreach_mul_(gradients, (CLIP / (norm + 1e-6)).clamp(max=1))


class Captured:
    """A step, captured once and replayed; eager where there is no GPU.

    Args:
        step: computes gradients and updates weights, and returns numbers to average, by name; it may not look at any.
        parameters: whose gradients are emptied before each step.
        steps: how many to run.
    """

    def __init__(
        self, name: str, step: Callable[[], dict[str, Tensor]], parameters: list[nn.Parameter], steps: int
    ) -> None:
        self.name, self.steps, self.done = name, steps, 0
        self._step, self._parameters = step, parameters
        self._graph: torch.cuda.CUDAGraph | None = None
        self._stream = torch.cuda.Stream() if torch.cuda.is_available() else None
        self._sums: dict[str, Tensor] = {}
        self.log: list[str] = []

    def _once(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None
        for name, value in self._step().items():
            if name not in self._sums:
                self._sums[name] = torch.zeros_like(value)
            self._sums[name] += value

    def start(self) -> None:
        """The first steps, which choose algorithms, then the capture."""
        if self._stream is None:
            return
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            for _ in range(3):
                self._once()
        self._stream.synchronize()
        self.done += 3
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, stream=self._stream, capture_error_mode="thread_local"):
            self._once()

    def run(self, steps: int) -> None:
        """Some more steps, without waiting for them."""
        steps = min(steps, self.steps - self.done)
        for _ in range(steps):
            if self._graph is None:
                self._once()
                continue
            with torch.cuda.stream(self._stream):
                self._graph.replay()
        self.done += steps

    def wait(self) -> None:
        if self._stream is not None:
            self._stream.synchronize()

    def means(self, steps: int) -> dict[str, float]:
        """Means of the step's numbers over the last `steps`; emptied."""
        self.wait()
        found = {name: value.item() / steps for name, value in self._sums.items()}
        for value in self._sums.values():
            value.zero_()
        return found

    def free(self) -> None:
        self._graph = None
        self._sums.clear()


def run_together(
    queue: list[Callable[[], tuple[Captured, Callable[[], None]]]],
    together: int,
    *,
    chunk: int = 100,
    every: int = 1000,
) -> None:
    """Run jobs, `together` at a time.

    Args:
        queue: makers of a job and of what is to be done at its end.
        together: how many share the GPU.
        chunk: steps that are handed over before waiting for them.
        every: steps between two lines of the log.
    """
    active: list[tuple[Captured, Callable[[], None], float]] = []
    queue = list(queue)
    began = time.perf_counter()
    while queue or active:
        while queue and len(active) < together:
            job, end = queue.pop(0)()
            job.start()
            active.append((job, end, time.perf_counter()))
        for job, _, _ in active:
            job.run(min(chunk, every - job.done % every))
        for entry in list(active):
            job, end, started = entry
            job.wait()
            if job.done % every == 0 or job.done >= job.steps:
                numbers = job.means(every if job.done % every == 0 else max(1, job.done % every))
                told = " ".join(f"{name} {value:.4g}" for name, value in numbers.items())
                seconds = time.perf_counter()
                print(
                    f"{seconds - began:6.0f} s  {job.name} {job.done}/{job.steps} {seconds - started:.0f} s  {told}",
                    flush=True,
                )
            if job.done >= job.steps or job.done % (10 * every) == 0:
                end()
            if job.done >= job.steps:
                job.free()
                active.remove(entry)
