"""The same function in layers that CPU runtimes are faster at; outputs differ by rounding alone."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fst.networks import Network
from fst.networks.blocks import ConvBlock, Residual

LARGE_KERNEL = 5  # from here up, a convolution to a few channels wastes most of a vector register


def faster(network: Network) -> Network:
    """A copy of a network whose `layers` avoid work at the larger resolution.

    - Nearest upsampling and a 3×3 convolution become one transposed convolution, 4×4 with stride 2 and overlapping
      kernels, at 16/36 of the arithmetic. (It is the convolution's own kernel summed over what nearest neighbours
      repeat: no checkerboard comes with it.)
    - The last large convolution, to 3 channels, becomes one of stride 2 to 12 channels and a pixel shuffle.
    """
    network = copy.deepcopy(network)
    layers = [_upsampled(layer) for layer in network.layers]
    if isinstance(layers[-1], ConvBlock):
        layers[-1:] = _folded(layers[-1])
    network.layers = nn.Sequential(*layers)
    return network


def _upsampled(block: nn.Module) -> nn.Module:
    if isinstance(block, Residual):
        return Residual(*map(_upsampled, block.body))
    if not isinstance(block, ConvBlock) or not isinstance(block[0], nn.Upsample):
        return block
    upsample, convolution, *rest = block
    if (upsample.mode, upsample.scale_factor) != ("nearest", 2) or not _plain(convolution, kernel=3):
        return block
    # The upsampled picture, reflected at its border, is the small one with its border repeated, upsampled.
    outputs, inputs = convolution.weight.shape[:2]
    transposed = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=3, bias=convolution.bias is not None)
    kernels = F.conv2d(convolution.weight.reshape(-1, 1, 3, 3), torch.ones(1, 1, 2, 2), padding=1)
    kernels = kernels.reshape(outputs, inputs, 4, 4).flip(2, 3).transpose(0, 1)
    return nn.Sequential(nn.ReplicationPad2d(1), _with(transposed, kernels, convolution.bias), *rest)


def _folded(block: ConvBlock) -> list[nn.Module]:
    [convolution, *rest] = block
    kernel = convolution.kernel_size[0] if isinstance(convolution, nn.Conv2d) else 0
    if rest or kernel < LARGE_KERNEL or not _plain(convolution, kernel):
        return [block]
    outputs, inputs = convolution.weight.shape[:2]
    # One larger, to see the windows of all four pixels of a 2×2 square, each of which shifts the kernel.
    strided = nn.Conv2d(inputs, 4 * outputs, kernel + 1, stride=2, bias=convolution.bias is not None)
    shifts = [F.pad(convolution.weight, (x, 1 - x, y, 1 - y)) for y in (0, 1) for x in (0, 1)]
    kernels = torch.stack(shifts, dim=1).flatten(0, 1)
    bias = None if convolution.bias is None else convolution.bias.repeat_interleave(4)
    return [nn.ReflectionPad2d(kernel // 2), _with(strided, kernels, bias), nn.PixelShuffle(2)]


def _plain(convolution: nn.Module, kernel: int) -> bool:
    """Whether it is a convolution of stride 1, padded by reflection to keep the size."""
    return (
        isinstance(convolution, nn.Conv2d)
        and convolution.kernel_size == (kernel, kernel)
        and convolution.padding == (kernel // 2, kernel // 2)
        and convolution.padding_mode == "reflect"
        and convolution.stride == convolution.dilation == (1, 1)
        and convolution.groups == 1
    )


@torch.no_grad()
def _with(module: nn.Module, weight: Tensor, bias: Tensor | None) -> nn.Module:
    module.weight.copy_(weight)
    if bias is not None:
        module.bias.copy_(bias)
    return module.requires_grad_(False)
