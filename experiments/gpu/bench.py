"""What a GPU takes for a training step and for a picture: tables for README.md of this folder."""

from __future__ import annotations

import copy
import dataclasses
import functools
import itertools
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from experiments.gpu import styles
from experiments.gpu.captured import compiled
from experiments.gpu.paintings import BOX
from experiments.gpu.styles import How, Studio
from fst.networks import Network, build
from fst.networks.blocks import ResizedConv

SIZES = {"640×480": (480, 640), "1024×1024": (1024, 1024), "1920×1080": (1080, 1920), "3840×2160": (2160, 3840)}


def seconds(work: Callable[[], object], times: int) -> float:
    """The median of some runs, after two."""
    found = []
    for _ in range(times + 2):
        _settle()
        began = time.perf_counter()
        work()
        _settle()
        found.append(time.perf_counter() - began)
    return statistics.median(found[2:])


def training(studio: Studio, out: Path, how: How, batches: list[int], networks: list[str], steps: int) -> list[str]:
    """A table: milliseconds of a training step launched kernel by kernel, as one graph, and as one graph compiled.

    Of the first batch also without the stability term and the moved twin that it paints, as in Johnson et al. 2016.
    """
    plain = dataclasses.replace(BOX["gogh"], stability=0)
    rows = ["| network | batch | eager, ms | one graph, ms | compiled, ms | images/s |", f"|---|{'---:|' * 5}"]
    kinds = [(batch, BOX["gogh"], "") for batch in batches] + [(batches[0], plain, ", no twin")]
    for network, (batch, style, told) in itertools.product(networks, kinds):
        found = []
        for fused in _ways(studio.device):
            one = dataclasses.replace(how, batch=batch, fused=fused)
            job, _ = styles.job(studio, "bench", style, out, one, network=network)()
            if not fused:
                found.append(seconds(job._once, steps))
            job.start()
            found.append(seconds(lambda: (job.run(steps), job.wait()), 3) / steps)  # noqa: B023
            job.free()
        rows.append(f"| {network}{told} | {batch} | {_cells(found, 3, 1)} | {batch / min(found):.0f} |")
        print(rows[-1], flush=True)
    return rows


@torch.inference_mode()
def painting(device: str, networks: list[str], sizes: dict[str, tuple[int, int]], times: int) -> list[str]:
    """A table: milliseconds of a picture, in 32 and 16 bits, launched one by one, as one graph, and compiled."""
    rows = ["| network | picture | fp32, ms | fp16, ms | one graph, ms | compiled, ms |", f"|---|---|{'---:|' * 4}"]
    for network, (name, (height, width)) in itertools.product(networks, sizes.items()):
        model = build(network).to(device, memory_format=torch.channels_last).eval()
        picture = torch.rand(1, 3, height, width, device=device).contiguous(memory_format=torch.channels_last)
        exact = seconds(lambda: model(picture), times)  # noqa: B023
        model, picture = model.half(), picture.half()
        half = seconds(lambda: model(picture), times)  # noqa: B023
        found = [exact, half]
        for fused in _ways(device):
            painter = _resized(copy.deepcopy(model)) if fused else model
            work = functools.partial(compiled(_plain) if fused else _plain, painter, picture)
            found.append(seconds(_replayed(work) if device == "cuda" else work, times))
        rows.append(f"| {network} | {name} | {_cells(found, 4, 2)} |")
        print(rows[-1], flush=True)
    return rows


def _ways(device: str) -> tuple[bool, ...]:
    """As it is, and compiled: the latter on GPUs, as a CPU's compiler takes minutes, where it is there."""
    return (False, True) if device == "cuda" else (False,)


def _cells(found: list[float], columns: int, digits: int) -> str:
    """Seconds as cells of milliseconds; empty: not measured."""
    return " | ".join([f"{one * 1e3:.{digits}f}" for one in found] + [""] * (columns - len(found)))


def _resized(model: Network) -> Network:
    """The network with `ResizedConv` in layers of torch, whose kernel the compiler cannot take apart."""
    parts = [layer.folded() if isinstance(layer, ResizedConv) else [layer] for layer in model.layers]
    model.layers = nn.Sequential(*itertools.chain(*parts))
    return model


def _plain(model: Network, picture: Tensor) -> Tensor:
    return model(picture)


def _replayed(work: Callable[[], object]) -> Callable[[], None]:
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        work()
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        work()
    return graph.replay


def _settle() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
