"""A network as an ONNX graph, for other runtimes and other programs."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fst.networks import Network
from fst.stylize.rewrite import faster


class Frames(nn.Module):
    """uint8 (N, H, W, 3) frames of a fitting size to painted ones: scaling, rounding and clipping inside the graph."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor) -> Tensor:
        painted = self.network.stylize(frames.permute(0, 3, 1, 2).float() / 255)
        return (painted.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)


class AnyImage(nn.Module):
    """(N, 3, H, W) in [0, 1] of any size from `smallest` up, to the same painted: `Network` without its branches."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        padding = (0, -width % self.network.multiple, 0, -height % self.network.multiple)
        painted = self.network.stylize(F.pad(image, padding, mode="reflect"))
        return painted[..., :height, :width].clamp(0, 1)


def write_frames(network: Network, path: Path) -> None:
    """Write `Frames` to an ONNX file: "frames" to "painted", any fitting height and width; for our own backends."""
    _write(Frames(faster(network)), torch.zeros(1, 64, 64, 3, dtype=torch.uint8), path, ("frames", "painted"), (1, 2))


def write_image(network: Network, path: Path) -> None:
    """Write `AnyImage` to an ONNX file: "image" to "painted", any height and width."""
    _write(AnyImage(network), torch.rand(1, 3, 101, 130), path, ("image", "painted"), (2, 3))


def _write(module: nn.Module, example: Tensor, path: Path, names: tuple[str, str], axes: tuple[int, int]) -> None:
    dynamic = {name: dict(zip(axes, ("height", "width"), strict=True)) for name in names}
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        # The tracing exporter: the same graph as the newer one's in a thirtieth of the time, in a single file.
        kinds = {"input_names": names[:1], "output_names": names[1:], "dynamic_axes": dynamic}
        torch.onnx.export(module, (example,), str(path), dynamo=False, **kinds)
