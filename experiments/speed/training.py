"""What a training step costs: python experiments/speed/training.py [--steps 7] [--size 256] [--batch 4]

Each row is a process of its own, run one after another on this machine: medians of a few steps, images a second, peak
memory, and the ratio to the first row, which is the step as pytorch/examples writes it (NCHW, fp32, both images through
the whole loss network, the allocator as it is). VGG-16 to relu4_3 has random
weights, on which speed does not depend; the last rows use the small loss network that comes with fst, to relu3_3.
Before the table, loss and gradient of fst's step are compared with the plain one's on the same weights and photos.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fst.config.schema import LossConfig
from fst.losses.criterion import Criterion
from fst.losses.names import BUNDLED, HEADS, SMALL, layer_names
from fst.losses.vgg import VGGFeatures, tensor_shapes
from fst.losses.weights import load_features
from fst.methods import fast
from fst.methods.parts import build_terms
from fst.networks import build
from fst.system import keep_memory

LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
ROWS = {
    "plain johnson": {"network": "johnson", "plain": True},
    "plain johnson, allocator tuned": {"network": "johnson", "plain": True, "allocator": True},
    "fst johnson, not compiled": {"network": "johnson", "allocator": True},
    "fst johnson": {"network": "johnson", "allocator": True, "compile": True},
    "fst johnson, loss compiled too": {"network": "johnson", "allocator": True, "compile": "all"},
    "fst realtime": {"network": "realtime", "allocator": True},
    "fst johnson, loss=vgg16_small": {"network": "johnson", "allocator": True, "compile": True, "small": True},
    "fst realtime, loss=vgg16_small": {"network": "realtime", "allocator": True, "small": True},
    "the same, all compiled": {"network": "realtime", "allocator": True, "compile": "all", "small": True},
}


def random_weights() -> dict[str, Tensor]:
    """He-initialised tensors under torchvision's names, to relu4_3."""
    generator = torch.Generator().manual_seed(1)
    layers = layer_names()[: layer_names().index("relu4_3") + 1]
    return {
        name: torch.zeros(shape)
        if len(shape) == 1
        else torch.randn(shape, generator=generator) * (2 / (9 * shape[1])) ** 0.5
        for name, shape in tensor_shapes(layers).items()
    }


class PlainLoss(nn.Module):
    """The objective as pytorch/examples computes it, at fst's scale: every photo through the whole network."""

    def __init__(self, features: VGGFeatures, painting: Tensor) -> None:
        super().__init__()
        self.features = features
        with torch.no_grad():
            self.targets = [self.gram(value) for value in features(painting, LAYERS).values()]

    @staticmethod
    def gram(features: Tensor) -> Tensor:
        count, channels, height, width = features.shape
        flat = features.view(count, channels, height * width)
        return flat.bmm(flat.transpose(1, 2)) / (channels * height * width)

    def forward(self, painted: Tensor, photos: Tensor) -> Tensor:
        of_painted, of_photos = self.features(painted, LAYERS), self.features(photos, LAYERS)
        content = F.mse_loss(of_painted["relu2_2"], of_photos["relu2_2"])
        style = sum(
            F.mse_loss(self.gram(value), target.expand(len(photos), -1, -1))
            for value, target in zip(of_painted.values(), self.targets, strict=True)
        )
        return content + 1e5 * style


def loss_network(layers: tuple[str, ...], *, small: bool) -> VGGFeatures:
    """VGG-16 to relu4_3, or the student that comes with fst, to relu3_3."""
    if not small:
        return VGGFeatures(layers, random_weights())
    return load_features(layers, BUNDLED, architecture=SMALL)


def objective(row: dict, device: torch.device) -> tuple[nn.Module, Callable[[Tensor], Tensor], str]:
    """The network, photos -> loss, and the precision of a row."""
    torch.manual_seed(0)
    network = build(row["network"]).to(device)
    layers = tuple(HEADS) if row.get("small") else LAYERS
    features = loss_network(layers, small="small" in row).to(device)
    painting = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(2)).to(device)
    if row.get("plain"):
        plain = PlainLoss(features, painting)
        return network, lambda photos: plain(network(photos), photos), "32-true"
    precision = fast.choose_precision("auto", device.type)
    network.to(memory_format=torch.channels_last)
    terms = build_terms(LossConfig(style_layers=list(layers), stability_weight=0))
    criterion = Criterion(features.to(memory_format=torch.channels_last), terms).to(device)
    style = criterion.style_target([painting])
    bf16 = precision == "bf16-mixed"
    if bf16:
        features.in_precision(torch.bfloat16)
    paint = torch.compile(network.forward) if row.get("compile") is True else network.forward

    def loss(photos: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            painted = paint(photos)
        return criterion(painted, criterion.content_target(photos), style).total

    return network, torch.compile(loss) if row.get("compile") == "all" else loss, precision


def measure(row: dict, steps: int, size: int, batch: int) -> dict:
    """Median seconds of a step (the first left out), peak memory in MB, precision, seconds of the first step."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if row.get("allocator"):
        keep_memory()
    network, loss, precision = objective(row, device)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3, fused=device.type == "cuda")
    photos = torch.rand(batch, 3, size, size, device=device)
    if not row.get("plain"):
        photos = photos.contiguous(memory_format=torch.channels_last)
    seconds = []
    for _ in range(steps + 1):
        start = time.perf_counter()
        optimizer.zero_grad()
        loss(photos).backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    on_gpu = device.type == "cuda"
    peak = torch.cuda.max_memory_allocated() if on_gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "seconds": statistics.median(seconds[1:]),
        "first": seconds[0],
        "memory": peak / 1e6,
        "precision": precision,
    }


def agreement(size: int) -> None:
    """Print how far fst's loss and gradient are from the plain ones, on the same weights and photos."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    photos = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(3)).to(device)
    losses, gradients = [], []
    for row in (ROWS["plain johnson"], ROWS["fst johnson, not compiled"]):
        network, loss, precision = objective(row, device)
        value = loss(photos)
        value.backward()
        losses.append(value.item())
        gradients.append(torch.cat([parameter.grad.flatten().double() for parameter in network.parameters()]))
    cosine = F.cosine_similarity(*gradients, dim=0).item()
    print(f"precision {precision}: loss {losses[1]:.6g}, plain {losses[0]:.6g}; cosine of gradients {cosine:.7f}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--row", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.row:
        print(json.dumps(measure(ROWS[chosen.row], chosen.steps, chosen.size, chosen.batch)))
        return
    agreement(128)
    print(f"batch {chosen.batch} at {chosen.size}², median of {chosen.steps} steps, {torch.get_num_threads()} threads")
    print("| step | precision | s/step | images/s | peak MB | times plain | first step, s |")
    print("|---|---|---:|---:|---:|---:|---:|")
    plain = None
    for name in ROWS:
        command = [sys.executable, __file__, "--row", name]
        command += [f"--{key}={getattr(chosen, key)}" for key in ("steps", "size", "batch")]
        found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
        plain = plain or found["seconds"]
        print(
            f"| {name} | {found['precision']} | {found['seconds']:.2f} | {chosen.batch / found['seconds']:.2f} "
            f"| {found['memory']:.0f} | {plain / found['seconds']:.2f} | {found['first']:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
