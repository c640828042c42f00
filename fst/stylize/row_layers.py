"""A network's layers as things that can be read a few rows at a time: see `fst.stylize.tiles`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fst.networks import Network
from fst.networks.blocks import Residual, ResizedConv

# Layers with at most this many numbers for each pixel of the image are kept, in 16 bits; larger ones are recomputed.
KEPT_PER_PIXEL = 16

# Modules that look at one position at a time.
POINTWISE = (
    *(nn.Dropout, nn.Identity),
    *(nn.ELU, nn.GELU, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh, nn.LeakyReLU, nn.Mish, nn.PReLU, nn.ReLU, nn.ReLU6),
    *(nn.Sigmoid, nn.SiLU, nn.Softplus, nn.Tanh),
)
PADDING = {"reflect": "reflect", "zeros": "constant", "replicate": "replicate"}  # of convolutions -> of F.pad


class Rows:
    """A (channels, height, width) picture or layer; `read` gives some of its rows as float (1, C, stop - start, W)."""

    channels: int
    height: int
    width: int
    device: torch.device

    def read(self, start: int, stop: int) -> Tensor:
        raise NotImplementedError

    def strips(self, piece: int) -> Iterator[tuple[int, int]]:
        """Ranges of rows that cover the layer, each of about `piece` positions."""
        step = max(8, piece // self.width)
        for start in range(0, self.height, step):
            yield start, min(start + step, self.height)


class Image(Rows):
    """A uint8 (H, W, 3) frame as a network's layers see it."""

    def __init__(self, frame: np.ndarray, network: Network, device: torch.device) -> None:
        self.frame, self.network, self.device = frame, network, device
        self.height, self.width, self.channels = frame.shape

    def read(self, start: int, stop: int) -> Tensor:
        strip = torch.from_numpy(np.require(self.frame[start:stop], requirements="W")).to(self.device)
        return self.network.before(strip.permute(2, 0, 1)[None].float().div_(255))


class Layer(Rows):
    """The output of a module that keeps, enlarges or shrinks the picture by a whole factor, computed when read."""

    def __init__(self, below: Rows, module: nn.Module) -> None:
        self.below, self.module, self.device = below, module, below.device
        self.channels, self.height, self.width = below.channels, below.height, below.width

    def read(self, start: int, stop: int) -> Tensor:
        return self.module(self.below.read(start, stop))


class Enlarged(Layer):
    """nn.Upsample or nn.PixelShuffle: a row below makes `factor` rows."""

    def __init__(self, below: Rows, module: nn.Module, factor: int) -> None:
        super().__init__(below, module)
        self.factor = factor
        self.height, self.width = below.height * factor, below.width * factor
        if isinstance(module, nn.PixelShuffle):
            self.channels = below.channels // factor**2

    def read(self, start: int, stop: int) -> Tensor:
        first = start // self.factor
        enlarged = self.module(self.below.read(first, -(-stop // self.factor)))
        return enlarged[:, :, start - first * self.factor :][:, :, : stop - start]


class Folded(Layer):
    """nn.PixelUnshuffle: `factor` rows below make a row."""

    def __init__(self, below: Rows, module: nn.PixelUnshuffle) -> None:
        super().__init__(below, module)
        self.factor = module.downscale_factor
        self.height, self.width = below.height // self.factor, below.width // self.factor
        self.channels = below.channels * self.factor**2

    def read(self, start: int, stop: int) -> Tensor:
        return self.module(self.below.read(start * self.factor, stop * self.factor))


class Convolved(Layer):
    """nn.Conv2d that keeps or shrinks: strips overlap by the kernel, and only the picture's own borders are padded."""

    def __init__(self, below: Rows, module: nn.Conv2d) -> None:
        super().__init__(below, module)
        self.kernel, self.stride, self.padding = module.kernel_size[0], module.stride[0], module.padding[0]
        self.channels = module.out_channels
        self.height, self.width = (
            (side + 2 * self.padding - self.kernel) // self.stride + 1 for side in (below.height, below.width)
        )

    def read(self, start: int, stop: int) -> Tensor:
        first = start * self.stride - self.padding
        last = (stop - 1) * self.stride - self.padding + self.kernel
        top, bottom = max(-first, 0), max(last - self.below.height, 0)
        strip = self.below.read(max(first, 0), min(last, self.below.height))
        strip = F.pad(strip, (self.padding, self.padding, top, bottom), mode=PADDING[self.module.padding_mode])
        return F.conv2d(strip, self.module.weight, self.module.bias, self.stride, groups=self.module.groups)


class Normalised(Layer):
    """nn.InstanceNorm2d with the statistics of the whole layer below, gathered strip by strip at once."""

    def __init__(self, below: Rows, module: nn.InstanceNorm2d, piece: int, size: int) -> None:
        kept = Kept(below) if below.channels * below.height * below.width <= KEPT_PER_PIXEL * size else None
        super().__init__(kept or below, module)
        mean = torch.zeros(below.channels, dtype=torch.float64, device=self.device)
        scatter = torch.zeros_like(mean)  # sum of squared distances from the mean
        for start, stop in below.strips(piece):
            strip = below.read(start, stop)
            if kept is not None:
                kept.write(start, stop, strip)
            centre = strip.mean(dim=(0, 2, 3))
            # Five times faster than torch.var_mean on a CPU, and as exact since the mean is taken off first.
            spread = torch.linalg.vector_norm(strip.sub_(centre[:, None, None]), dim=(0, 2, 3)).double() ** 2
            shift, part = centre - mean, (stop - start) / stop
            mean += shift * part
            scatter += spread + shift**2 * (stop - start) * below.width * (1 - part)
        scale = (scatter / (below.height * below.width) + module.eps).rsqrt()
        if module.affine:
            scale = scale * module.weight
        offset = (module.bias if module.affine else 0) - mean * scale
        self.scale, self.offset = scale.float()[:, None, None], offset.float()[:, None, None]

    def read(self, start: int, stop: int) -> Tensor:
        return torch.addcmul(self.offset, self.below.read(start, stop), self.scale)


class Kept(Rows):
    """A layer in memory, in 16 bits, less the first strip's mean: 16 bits are few digits for what is far from zero."""

    def __init__(self, like: Rows) -> None:
        self.channels, self.height, self.width, self.device = like.channels, like.height, like.width, like.device
        self.base: Tensor | None = None
        self.values = torch.empty((1, self.channels, self.height, self.width), dtype=torch.float16, device=self.device)

    def write(self, start: int, stop: int, strip: Tensor) -> None:
        if self.base is None:
            self.base = strip.mean(dim=(2, 3), keepdim=True)
        self.values[:, :, start:stop] = strip - self.base

    def read(self, start: int, stop: int) -> Tensor:
        return self.values[:, :, start:stop].float().add_(self.base)


def through(module: nn.Module, below: Rows, piece: int, size: int | None = None) -> Rows:
    """What comes out of a module for the rows below it; statistics are gathered now, the rest is computed when read.

    Args:
        module: a network's `layers`, or a part of them; `runs_in_strips`.
        below: what goes in.
        piece: positions in a strip.
        size: positions in the image, by which layers are judged too large to keep; None: as many as in `below`.
    """
    size = size or below.height * below.width
    if behaves_as(module, nn.Sequential):
        for part in module:
            below = through(part, below, piece, size)
        return below
    if behaves_as(module, Residual):
        return _sum(below, through(module.body, below, piece, size), piece)
    if behaves_as(module, ResizedConv):
        return through(nn.Sequential(*module.folded()), below, piece, size)
    if isinstance(module, nn.InstanceNorm2d):
        return Normalised(below, module, piece, size)
    if isinstance(module, nn.Conv2d):
        return Convolved(below, module)
    if isinstance(module, nn.Upsample):
        return Enlarged(below, module, int(module.scale_factor))
    if isinstance(module, nn.PixelShuffle):
        return Enlarged(below, module, module.upscale_factor)
    if isinstance(module, nn.PixelUnshuffle):
        return Folded(below, module)
    return Layer(below, module)


def runs_in_strips(network: Network) -> bool:
    """Whether a network can be computed a few rows at a time, by the modules that its `layers` are made of."""
    return network.strips and type(network).stylize is Network.stylize and _runs(network.layers)


def _runs(module: nn.Module) -> bool:
    if behaves_as(module, nn.Sequential):
        return all(map(_runs, module))
    if behaves_as(module, Residual):
        return _runs(module.body)
    if type(module) is nn.InstanceNorm2d:
        return not module.track_running_stats
    if type(module) is nn.BatchNorm2d:
        return module.track_running_stats
    if type(module) is nn.Conv2d:
        pairs = (module.kernel_size, module.stride, module.padding)  # padding may be a word: "same"
        square = all(isinstance(pair, tuple) and len(set(pair)) == 1 for pair in pairs) and module.dilation == (1, 1)
        return square and module.padding_mode in PADDING
    if type(module) is nn.Upsample:
        factor = module.scale_factor
        return module.mode == "nearest" and isinstance(factor, (int, float)) and factor == int(factor)
    return type(module) in (ResizedConv, nn.PixelShuffle, nn.PixelUnshuffle, *POINTWISE)


def behaves_as(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a module is of that kind, and no subclass that computes something else."""
    return isinstance(module, kind) and type(module).forward is kind.forward


def _sum(first: Rows, second: Rows, piece: int) -> Kept:
    total = Kept(first)
    for start, stop in total.strips(piece):
        total.write(start, stop, first.read(start, stop) + second.read(start, stop))
    return total
