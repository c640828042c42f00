"""What a GPU takes for a training step and for a picture: tables for README.md of this folder."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from experiments.gpu import styles
from experiments.gpu.paintings import BOX
from experiments.gpu.styles import Studio
from fst.networks import build

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


def training(studio: Studio, out: Path, batches: list[int], networks: list[str], crop: int, steps: int) -> list[str]:
    """A table: milliseconds of a training step, launched one kernel after the other and as one graph."""
    rows = ["| network | batch | eager, ms | one graph, ms | images/s |", "|---|---:|---:|---:|---:|"]
    for network, batch in itertools.product(networks, batches):
        job, _ = styles.job(studio, "bench", BOX["gogh"], out, steps=10**6, batch=batch, network=network, crop=crop)()
        eager = seconds(job._once, steps)
        job.start()
        graph = seconds(lambda: (job.run(steps), job.wait()), 3) / steps  # noqa: B023
        job.free()
        rows.append(f"| {network} | {batch} | {eager * 1e3:.1f} | {graph * 1e3:.1f} | {batch / graph:.0f} |")
        print(rows[-1], flush=True)
    return rows


@torch.inference_mode()
def painting(device: str, networks: list[str], sizes: dict[str, tuple[int, int]], times: int) -> list[str]:
    """A table: milliseconds of a picture, in 32 and 16 bits, launched one by one and as one graph."""
    rows = ["| network | picture | fp32, ms | fp16, ms | fp16, one graph, ms |", "|---|---|---:|---:|---:|"]
    for network, (name, (height, width)) in itertools.product(networks, sizes.items()):
        model = build(network).to(device, memory_format=torch.channels_last).eval()
        picture = torch.rand(1, 3, height, width, device=device).contiguous(memory_format=torch.channels_last)
        exact = seconds(lambda: model(picture), times)  # noqa: B023
        model, picture = model.half(), picture.half()
        half = seconds(lambda: model(picture), times)  # noqa: B023
        graph = seconds(_replayed(lambda: model(picture)), times) if device == "cuda" else half  # noqa: B023
        rows.append(f"| {network} | {name} | {exact * 1e3:.2f} | {half * 1e3:.2f} | {graph * 1e3:.2f} |")
        print(rows[-1], flush=True)
    return rows


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
