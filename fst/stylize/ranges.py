"""What 8-bit convolutions need to know of a trained network: the ranges of their inputs; kept in its style file.

python -m fst.stylize.ranges STYLE.safetensors PHOTOS     puts them into a style file that has none
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fst import images, stylefile
from fst.errors import UserError, one_line_errors
from fst.networks import Network
from fst.networks.conditional import Conditional
from fst.stylize.int8 import convolutions, in_8_bits
from fst.stylize.rewrite import faster

HEADROOM = 1.2  # of 1 to 1.7, the best for the worst photo of three styles
PHOTOS, SIDE = 32, 256  # few and small are enough: normalised layers have about the same range in every picture


@torch.no_grad()
def measure(network: Network, photos: Iterable[Tensor]) -> dict[str, Any]:
    """Measure the ranges of the convolutions' inputs, and how near the network comes to itself in 8 bits with them.

    A range is the mean over photos of each one's lowest and highest number with some headroom, but no wider than all
    photos together: a few outliers are cut off, so that steps between the others are finer.

    Args:
        network: in evaluation mode.
        photos: float (N, 3, H, W) in [0, 1]; 16 or more in all, of any size.

    Returns:
        For `StyleInfo.int8`: "inputs", the (lowest, highest) input by the convolution's name, without those that shrink
        the picture, which stay as they are; and "psnr", in dB: of paintings in 8 bits against those in 32.
    """
    photos = [photo[None] for batch in photos for photo in batch]
    extremes: dict[str, list[tuple[Tensor, Tensor]]] = {}

    def note(name: str) -> Callable[[nn.Module, tuple[Tensor]], None]:
        return lambda _, given: extremes.setdefault(name, []).append(torch.aminmax(given[0]))

    quick = faster(network)  # which has a convolution in the place of each, and none that is not called
    pairs = zip(convolutions(network).items(), convolutions(quick).values(), strict=True)
    for (name, module), place in pairs:
        if not _shrinks(module):
            place.register_forward_pre_hook(note(name))
    painted = [quick(photo).clamp(0, 1) for photo in photos]
    inputs = {name: _range(torch.tensor(found)) for name, found in extremes.items()}
    rounded = in_8_bits(network, inputs)
    errors = [
        (rounded(photo).clamp(0, 1) - before).square().mean() for photo, before in zip(photos, painted, strict=True)
    ]
    error = max(torch.stack(errors).mean().item(), 1e-10)
    return {"psnr": round(-10 * math.log10(error), 2), "inputs": inputs}


def widest(measured: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of what was measured of several styles of one network, the ranges that hold for each, and the worst of "psnr"."""
    inputs = {
        name: [min(one["inputs"][name][0] for one in measured), max(one["inputs"][name][1] for one in measured)]
        for name in measured[0]["inputs"]
    }
    return {"psnr": min(one["psnr"] for one in measured), "inputs": inputs}


def _range(extremes: Tensor) -> list[float]:
    low, high = (HEADROOM * extremes.mean(0)).tolist()
    return [max(low, extremes[:, 0].min().item()), min(high, extremes[:, 1].max().item())]


def _shrinks(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d) and max(module.stride) > 1


def _photos(folder: str) -> list[Tensor]:
    found = images.files(Path(folder).expanduser())
    return [
        images.to_tensor(images.square(images.read(path), SIDE))
        for path in found[:: max(1, len(found) // PHOTOS)][:PHOTOS]
    ]


def main(arguments: list[str]) -> None:
    """Measure a style file's ranges on a folder's photos and write them into it; of many styles, what holds for each.

    Raises:
        UserError: no such file or folder.
    """
    if len(arguments) != 2:
        raise UserError(
            "give a style file and a folder of photos: python -m fst.stylize.ranges FILE.safetensors PHOTOS"
        )
    path, folder = arguments
    network, info = stylefile.load(path)
    many = isinstance(network, Conditional)
    networks = [network.for_style({name: 1}) for name in network.names] if many else [network]
    photos = _photos(folder)
    ranges = widest([measure(network, photos) for network in networks])
    stylefile.describe(path, dataclasses.replace(info, int8=ranges))
    print(f"{path}: {len(ranges['inputs'])} ranges; in 8 bits {ranges['psnr']:.1f} dB from 32")


if __name__ == "__main__":
    with one_line_errors():
        main(sys.argv[1:])
