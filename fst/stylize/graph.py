"""A network as an ONNX graph, for other runtimes and other programs."""

from __future__ import annotations

import contextlib
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from fst.networks import Network
from fst.networks.conditional import Conditional


class Frames(nn.Module):
    """uint8 (N, H, W, C) frames, or folded planes, of a fitting size to painted ones, rounded and clipped.

    A network of many styles takes a style vector (1, V) beside them.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor, *vector: Tensor) -> Tensor:
        with self.network.styled(*vector) if vector else contextlib.nullcontext():
            painted = self.network.stylize(frames.permute(0, 3, 1, 2).float() / 255)
        return (painted.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)


class AnyImage(nn.Module):
    """(N, 3, H, W) in [0, 1] of any size to the same painted, as `fst.stylize.framing` and a `Network` do it together:
    mirrored around itself by a margin, then to a size that fits the network; both are cut off again.
    """

    def __init__(self, network: Network, margin: int) -> None:
        super().__init__()
        self.network, self.margin = network, margin

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        grown = image.index_select(2, self._mirrored(height)).index_select(3, self._mirrored(width))
        painted = self.network.stylize(grown)[..., self.margin :, self.margin :]
        return painted[..., :height, :width].clamp(0, 1)

    def _mirrored(self, length: Tensor) -> Tensor:
        """Where each of the grown image's rows is taken from: a graph has no branches, an index no least size."""
        wide = length + 2 * self.margin
        grown = torch.clamp(wide + -wide % self.network.multiple, min=self.network.smallest)
        return _reflected(_reflected(torch.arange(grown), wide) - self.margin, length)


def _reflected(index: Tensor, length: Tensor) -> Tensor:
    """Indices outside 0 to length - 1, mirrored at both ends as often as it takes (cv2.BORDER_REFLECT_101)."""
    period = torch.clamp(2 * (length - 1), min=1)
    inside = index.remainder(period)
    return torch.minimum(inside, period - inside) * (length > 1)


def write_frames(network: Network, path: Path, channels: int = 3) -> None:
    """Write `Frames` to an ONNX file for OpenVINO: "frames" (and "vector") to "painted", any fitting size."""
    vector = (network.table[:1].detach(),) if isinstance(network, Conditional) else ()
    example = (torch.zeros(1, 64, 64, channels, dtype=torch.uint8), *vector)
    _write(Frames(network), example, path, ("frames", *("vector" for _ in vector), "painted"), (1, 2))


def write_image(network: Network, path: Path, margin: int) -> None:
    """Write `AnyImage` to an ONNX file: "image" to "painted", any height and width."""
    _write(AnyImage(network, margin), (torch.rand(1, 3, 101, 130),), path, ("image", "painted"), (2, 3))


def _write(
    module: nn.Module, example: tuple[Tensor, ...], path: Path, names: tuple[str, ...], axes: tuple[int, int]
) -> None:
    dynamic = {name: dict(zip(axes, ("height", "width"), strict=True)) for name in (names[0], names[-1])}
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        # The tracing exporter: the same graph as the newer one's in a thirtieth of the time, in a single file.
        kinds = {"input_names": names[:-1], "output_names": names[-1:], "dynamic_axes": dynamic}
        torch.onnx.export(module, example, str(path), dynamo=False, **kinds)
