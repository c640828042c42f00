"""A network that takes and gives a film's planes, folded as `fst.stylize.planes` says, without converting colours.

What lies between planes and the first convolution, and between the last one and planes, is linear where a network
begins with a PixelUnshuffle and ends with a PixelShuffle: the film's matrix, half-size differences, the network's own
`before` and `after`. So both convolutions take it in: 6 channels instead of 12 at half the resolution. Differences are
repeated over 2×2 pixels, and averaged over them; networks of other folds paint films in RGB. Colours outside 0..1 are
not cut off between, as they are in RGB: the player does that.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fst.networks import Network
from fst.stylize.planes import CHANNELS, Matrix
from fst.stylize.rewrite import behaves_as


def takes_planes(network: Network) -> bool:
    """Whether a network (`fst.stylize.rewrite.faster`) can be given planes: it folds squares of 2×2 pixels."""
    if not behaves_as(network.layers, nn.Sequential) or len(network.layers) < 4:
        return False
    unfolding, first, *_, last, folding = network.layers
    if not isinstance(unfolding, nn.PixelUnshuffle) or not isinstance(folding, nn.PixelShuffle):
        return False
    if (
        unfolding.downscale_factor != 2
        or folding.upscale_factor != 2
        or len(_parts(last)) > 1
        or not _convolution(last)
    ):
        return False
    convolution = _convolution(first)
    if not convolution or convolution.padding_mode == "zeros":  # which would be a colour
        return False
    return bool(_affine(network.before, 3) and _affine(network.after, 3))


@torch.no_grad()
def planar(network: Network, matrix: Matrix) -> Network:
    """A copy of a network that `takes_planes` and stylizes folded ones, (N, CHANNELS, h, w) in [0, 1]."""
    network = copy.deepcopy(network)
    unfolding, *layers, folding = network.layers
    first, last = _convolution(layers[0]), _convolution(layers[-1])
    to_yuv = _to_yuv(matrix)
    weight, bias = _affine(lambda x: unfolding(network.before(_rgb(x, to_yuv))), CHANNELS)
    kernels = first.weight.double()
    _give(first, torch.einsum("oikl,in->onkl", kernels, weight), _bias(first) + kernels.sum((2, 3)) @ bias)
    weight, bias = _affine(lambda x: _squares(network.after(folding(x)), to_yuv), last.out_channels)
    _give(last, torch.einsum("no,oikl->nikl", weight, last.weight.double()), weight @ _bias(last) + bias)
    network.layers = nn.Sequential(*layers)
    network.before = network.after = lambda x: x
    return network


def _parts(block: nn.Module) -> list[nn.Module]:
    return list(block) if behaves_as(block, nn.Sequential) else [block]


def _convolution(block: nn.Module) -> nn.Conv2d | None:
    convolution = _parts(block)[0]
    return convolution if behaves_as(convolution, nn.Conv2d) and convolution.groups == 1 else None


def _bias(convolution: nn.Conv2d) -> Tensor:
    none = torch.zeros(convolution.out_channels, dtype=torch.float64)
    return none if convolution.bias is None else convolution.bias.double()


def _give(convolution: nn.Conv2d, weight: Tensor, bias: Tensor) -> None:
    convolution.weight, convolution.bias = nn.Parameter(weight.float()), nn.Parameter(bias.float())
    convolution.out_channels, convolution.in_channels = weight.shape[:2]
    convolution.requires_grad_(False)


@torch.no_grad()
def _affine(function: Callable[[Tensor], Tensor], inputs: int) -> tuple[Tensor, Tensor] | None:
    """The matrix and the constant of a function of (N, inputs, 1, 1); None where it is not affine."""
    points = torch.cat([torch.zeros(1, inputs), torch.eye(inputs), torch.linspace(-2, 3, inputs)[None]]).double()
    zero, *ends, last = function(points[..., None, None])[..., 0, 0]
    weight = torch.stack(ends, dim=1) - zero[:, None]
    return (weight, zero) if torch.allclose(weight @ points[-1] + zero, last, atol=1e-5) else None


def _to_yuv(matrix: Matrix) -> Tensor:
    """(3, 4): RGB in [0, 1], and 1, to Y'CbCr in [0, 1] (ITU-T H.273, 8.3)."""
    red, blue = matrix.red, matrix.blue
    luma = torch.tensor([red, 1 - red - blue, blue], dtype=torch.float64)
    differences = [(torch.eye(3)[channel] - luma) / 2 / (1 - luma[channel]) for channel in (2, 0)]
    levels = torch.tensor([1.0, 1.0, 1.0] if matrix.full else [219 / 255, 224 / 255, 224 / 255], dtype=torch.float64)
    zeros = torch.tensor([0 if matrix.full else 16 / 255, 128 / 255, 128 / 255], dtype=torch.float64)
    return torch.cat([torch.stack([luma, *differences]) * levels[:, None], zeros[:, None]], dim=1)


def _rgb(squares: Tensor, to_yuv: Tensor) -> Tensor:
    planes = [F.pixel_shuffle(squares[:, :4], 2), F.interpolate(squares[:, 4:], scale_factor=2)]
    return torch.einsum("ry,nyhw->nrhw", torch.linalg.inv(to_yuv[:, :3]), torch.cat(planes, 1) - to_yuv[:, 3:, None])


def _squares(rgb: Tensor, to_yuv: Tensor) -> Tensor:
    yuv = torch.einsum("yr,nrhw->nyhw", to_yuv[:, :3], rgb) + to_yuv[:, 3:, None]
    return torch.cat([F.pixel_unshuffle(yuv[:, :1], 2), F.avg_pool2d(yuv[:, 1:], 2)], dim=1)
