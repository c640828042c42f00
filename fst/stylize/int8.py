"""A network whose convolutions run in 8 bits, by the ranges of their inputs that its style file carries.

Convolutions are quantised: inputs in 8 bits a layer, kernels in 8 bits a channel (Krishnamoorthi 2018). What costs
little and would be seen in 8 bits stays as it is: instance normalisation; the sums of residual blocks (7 dB of
Johnson's network); and the few convolutions on the way down, whose rounding later layers amplify (4 dB of realtime).
"""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fst.networks import Network
from fst.stylize.rewrite import behaves_as, faster

ENOUGH = 40.0  # dB from 32 bits: nobody sees the difference


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
    """A copy of a rewritten network whose convolutions run in 8 bits.

    Args:
        network: the network.
        inputs: the (lowest, highest) input of its convolutions, by name; those without stay in 32 bits.
        rewritten: what is to run in its place; `rewrite.faster` unless told.
    """
    quick = copy.deepcopy(rewritten or faster(network))
    # Rewriting puts one convolution in the place of each, and so keeps their order.
    for name, (place, convolution) in zip(convolutions(network), convolutions(quick).items(), strict=True):
        if name in inputs:
            parent, _, last = place.rpartition(".")
            setattr(quick.get_submodule(parent), last, EightBits(convolution, *inputs[name]))
    return quick
