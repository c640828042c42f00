"""Convolutions in 8 bits: the ranges of their inputs, which a style file carries, and a network that runs by them.

Inputs are quantised in 8 bits a layer, kernels in 8 bits a channel (Krishnamoorthi 2018). What costs little and would
be seen in 8 bits stays as it is: instance normalisation; the sums of residual blocks (7 dB of Johnson's network); and
the few convolutions on the way down, whose rounding later layers amplify (4 dB of realtime).

python -m fst.stylize.ranges STYLE.safetensors PHOTOS     puts ranges into a style file that has none
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fst import images, stylefile
from fst.errors import one_line_errors
from fst.files import expanded
from fst.networks import Network
from fst.networks.conditional import Conditional
from fst.stylize.rewrite import behaves_as, faster

ENOUGH = 40.0  # dB from 32 bits: nobody sees the difference
HEADROOM = 1.2  # of 1 to 1.7, the best for the worst photo of three styles
PHOTOS, SIDE = 32, 256  # few and small are enough: normalised layers have about the same range in every picture


class EightBits(nn.Module):
    """A convolution whose input and kernels are rounded to 8 bits, as runtimes with 8-bit convolutions understand it.

    Args:
        convolution: an nn.Conv2d or nn.ConvTranspose2d.
        low, high: its input's range; numbers outside are cut off.
    """

    def __init__(self, convolution: nn.Module, low: float, high: float) -> None:
        super().__init__()
        self.convolution = convolution
        # Zero is a whole number in both: what is padded or cut by a ReLU stays exact.
        if low >= 0:
            self.step, self.levels = max(high, 1e-6) / 255, (0, 255)
        else:
            self.step, self.levels = max(-low / 128, high / 127, 1e-6), (-128, 127)
        self.axis = 1 if isinstance(convolution, nn.ConvTranspose2d) else 0
        largest = convolution.weight.detach().abs().amax([axis for axis in range(4) if axis != self.axis])
        self.steps = (largest / 127).clamp(min=1e-8)
        self.zeros = torch.zeros_like(self.steps, dtype=torch.int32)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.fake_quantize_per_tensor_affine(x, self.step, 0, *self.levels)
        own = self.convolution
        kernels = torch.fake_quantize_per_channel_affine(own.weight, self.steps, self.zeros, self.axis, -128, 127)
        if isinstance(own, nn.Conv2d):
            return own._conv_forward(x, kernels, own.bias)  # pads as its padding_mode says
        how = (own.stride, own.padding, own.output_padding, own.groups, own.dilation)
        return F.conv_transpose2d(x, kernels, own.bias, *how)


def usable(ranges: dict[str, Any]) -> dict[str, tuple[float, float]] | None:
    """The inputs' ranges of a style file's `int8`; None where it has none, or what a stranger wrote there."""
    inputs = ranges.get("inputs")
    if not inputs or not isinstance(inputs, dict) or not isinstance(ranges.get("psnr"), (int, float)):
        return None
    pairs = all(isinstance(pair, list) and len(pair) == 2 for pair in inputs.values())
    return inputs if pairs and all(isinstance(end, (int, float)) for pair in inputs.values() for end in pair) else None


def convolutions(network: Network) -> dict[str, nn.Module]:
    """The convolutions of a network by name, in order."""
    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    modules = network.named_modules()
    return {name: module for name, module in modules if any(behaves_as(module, kind) for kind in kinds)}


def in_8_bits(network: Network, inputs: dict[str, tuple[float, float]], rewritten: Network | None = None) -> Network:
    """A copy of what runs in a network's place (`rewritten`, or `faster`) whose convolutions run in 8 bits.

    `inputs` is the (lowest, highest) input of the network's convolutions, by name; those without stay in 32 bits.
    """
    quick = copy.deepcopy(rewritten or faster(network))
    # Rewriting puts one convolution in the place of each, and so keeps their order.
    for name, (place, convolution) in zip(convolutions(network), convolutions(quick).items(), strict=True):
        if name in inputs:
            parent, _, last = place.rpartition(".")
            setattr(quick.get_submodule(parent), last, EightBits(convolution, *inputs[name]))
    return quick


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
    for (name, module), place in zip(convolutions(network).items(), convolutions(quick).values(), strict=True):
        if not isinstance(module, nn.Conv2d) or max(module.stride) == 1:
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


def main(arguments: list[str]) -> None:
    """Measure a style file's ranges on a folder's photos and write them into it; of many styles, those of all."""
    parser = argparse.ArgumentParser(prog="python -m fst.stylize.ranges", description=main.__doc__)
    parser.add_argument("file", help="a style file")
    parser.add_argument("photos", help="a folder of photos")
    given = parser.parse_args(arguments)
    path, folder = given.file, given.photos
    network, info = stylefile.load(path)
    many = isinstance(network, Conditional)
    networks = [network.for_style({name: 1}) for name in network.names] if many else [network]
    found = images.files(expanded(folder))
    some = found[:: max(1, len(found) // PHOTOS)][:PHOTOS]
    photos = [images.to_tensor(images.square(images.read(photo), SIDE)) for photo in some]
    ranges = widest([measure(network, photos) for network in networks])
    stylefile.describe(path, dataclasses.replace(info, int8=ranges))
    taken = "takes" if ranges["psnr"] >= ENOUGH else f"does not take, for want of {ENOUGH:.0f}"
    told = f"in 8 bits {ranges['psnr']:.2f} dB from 32, which precision=auto {taken}"
    print(f"{path}: {len(ranges['inputs'])} ranges; {told}")


if __name__ == "__main__":
    with one_line_errors():
        main(sys.argv[1:])
