"""Large images in bounded memory: the network runs layer by layer, each layer a strip of rows at a time.

Instance normalisation needs the mean and variance of a whole layer, so an image cut into tiles that are painted one by
one shows its seams. Here each convolution sees the image in strips that overlap by its kernel; the strips' statistics
are merged into the whole layer's exactly (Chan, Golub and LeVeque 1983) before the next layer reads it. Layers are kept
in 16 bits, except those too large to keep (Johnson's at full resolution), which are computed again from the layer below
when they are read. What comes out is the image painted whole, up to that rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fst import images
from fst.networks import Network
from fst.networks.blocks import Residual, ResizedConv
from fst.networks.conditional import Conditional
from fst.stylize.framing import pad
from fst.stylize.rewrite import behaves_as
from fst.stylize.torch_backend import device
from fst.system import keep_small_memory

STRIP = 256 * 256  # positions of a layer that are computed at once: 8 MB of Johnson's widest
KEPT_PER_PIXEL = 16  # numbers of a layer for each pixel of the image: larger layers are computed again

# Modules that look at one position at a time.
POINTWISE = (
    *(nn.Dropout, nn.Identity),
    *(nn.ELU, nn.GELU, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh, nn.LeakyReLU, nn.Mish, nn.PReLU, nn.ReLU, nn.ReLU6),
    *(nn.Sigmoid, nn.SiLU, nn.Softplus, nn.Tanh),
)
PADDING = {"reflect": "reflect", "zeros": "constant", "replicate": "replicate"}  # of convolutions -> of F.pad


@torch.inference_mode()
def stylize(network: Network, frame: np.ndarray, vector: np.ndarray | None) -> np.ndarray:
    """Paint uint8 (H, W, 3) RGB by a network that `runs_in_strips`, as a `fst.stylize.backend.Backend` does.

    Memory grows by 8 (realtime) and 49 (johnson) bytes a pixel of a large photo (experiments/speed/memory.py).
    """
    keep_small_memory()  # strips, not layers: page faults took half of the time
    network = (network if vector is None else network.folded(torch.from_numpy(vector)[None])).to(device())
    rows = through(network.layers, Image(pad(frame, network), network, device()))
    painted = np.empty((rows.height, rows.width, 3), np.uint8)
    for start, stop in rows.strips():
        painted[start:stop] = images.to_pixels(network.after(rows.read(start, stop)))
    return painted[: frame.shape[0], : frame.shape[1]]


class Rows:
    """A picture or layer; `read` gives some of its rows as float (1, C, stop - start, width)."""

    height: int
    width: int

    def read(self, start: int, stop: int) -> Tensor:
        raise NotImplementedError

    def strips(self) -> Iterator[tuple[int, int]]:
        """Ranges of rows that cover the layer."""
        step = max(8, STRIP // self.width)
        for start in range(0, self.height, step):
            yield start, min(start + step, self.height)


class Image(Rows):
    """A uint8 (H, W, 3) frame as a network's layers see it."""

    def __init__(self, frame: np.ndarray, network: Network, device: torch.device) -> None:
        self.frame, self.network, self.device = frame, network, device
        self.height, self.width = frame.shape[:2]

    def read(self, start: int, stop: int) -> Tensor:
        return self.network.before(images.to_tensor(self.frame[start:stop], self.device))


@dataclass(eq=False)
class Layer(Rows):
    """What `run` makes of the rows below, computed when read.

    A row of it comes from `kernel` rows below, `stride` after those of the row before, or `factor` rows from one. Rows
    are padded at the picture's own borders alone.
    """

    below: Rows
    run: Callable[[Tensor], Tensor]
    kernel: int = 1
    stride: int = 1
    padding: int = 0
    mode: str = "constant"
    factor: int = 1

    def __post_init__(self) -> None:
        beyond = 2 * self.padding - self.kernel
        sides = (self.below.height, self.below.width)
        self.height, self.width = (((side + beyond) // self.stride + 1) * self.factor for side in sides)

    def read(self, start: int, stop: int) -> Tensor:
        first = start // self.factor * self.stride - self.padding
        last = (-(-stop // self.factor) - 1) * self.stride - self.padding + self.kernel
        strip = self.below.read(max(first, 0), min(last, self.below.height))
        if self.padding:
            borders = (self.padding, self.padding, max(-first, 0), max(last - self.below.height, 0))
            strip = F.pad(strip, borders, mode=self.mode)
        return self.run(strip)[:, :, start % self.factor :][:, :, : stop - start]


class Kept(Rows):
    """A layer in memory, in 16 bits, less the first strip's mean: 16 bits are few digits for what is far from zero."""

    def __init__(self, like: Rows) -> None:
        self.height, self.width = like.height, like.width
        self.values: Tensor | None = None

    def write(self, start: int, stop: int, strip: Tensor) -> None:
        if self.values is None:
            self.base = strip.mean(dim=(2, 3), keepdim=True)
            self.values = strip.new_empty((1, strip.shape[1], self.height, self.width), dtype=torch.float16)
        self.values[:, :, start:stop] = strip - self.base

    def read(self, start: int, stop: int) -> Tensor:
        return self.values[:, :, start:stop].float().add_(self.base)


class Whole(Exception):
    """A module sees more of a picture than a few rows at a time: what it is part of is painted whole."""


def through(module: nn.Module, below: Rows, size: int | None = None) -> Rows:
    """What comes out of a module for the rows below it; statistics are gathered now, the rest is computed when read.

    `size` is the positions in the image, by which layers are judged too large to keep; None: as many as in `below`.

    Raises:
        Whole: it cannot be computed so.
    """
    size, kind = size or below.height * below.width, type(module)
    if behaves_as(module, nn.Sequential):
        for part in module:
            below = through(part, below, size)
        return below
    if behaves_as(module, Residual):
        return _sum(below, through(module.body, below, size))
    if kind is ResizedConv:
        return through(nn.Sequential(*module.folded()), below, size)
    if kind is nn.InstanceNorm2d and not module.track_running_stats:
        return _normalised(below, module, size)
    if kind is nn.Conv2d:
        return _convolved(below, module)
    if kind is nn.Upsample and module.mode == "nearest" and _is_whole(module.scale_factor):
        return Layer(below, module, factor=int(module.scale_factor))
    if kind is nn.PixelShuffle:
        return Layer(below, module, factor=module.upscale_factor)
    if kind is nn.PixelUnshuffle:
        return Layer(below, module, kernel=module.downscale_factor, stride=module.downscale_factor)
    if kind in POINTWISE or (kind is nn.BatchNorm2d and module.track_running_stats):
        return Layer(below, module)
    raise Whole


def _is_whole(factor: float | tuple[float, ...] | None) -> bool:
    return isinstance(factor, float) and factor.is_integer()


@torch.inference_mode()
def runs_in_strips(network: Network) -> bool:
    """Whether a network, on the CPU, can be computed a few rows at a time, by the modules that it is made of."""
    if not network.strips or type(network).stylize is not Network.stylize:
        return False
    plain = network.folded(network.table[:1]) if isinstance(network, Conditional) else network
    least = np.zeros((network.smallest, network.smallest, 3), np.uint8)
    try:
        through(plain.layers, Image(pad(least, network), plain, torch.device("cpu")))
    except (Whole, RuntimeError):  # RuntimeError: a network that cannot paint so small a picture
        return False
    return True


def _sum(first: Rows, second: Rows) -> Rows:
    total = Kept(first)
    for start, stop in total.strips():
        total.write(start, stop, first.read(start, stop) + second.read(start, stop))
    return total


def _convolved(below: Rows, module: nn.Conv2d) -> Rows:
    pairs = (module.kernel_size, module.stride, module.padding)  # padding may be a word: "same"
    square = all(isinstance(pair, tuple) and len(set(pair)) == 1 for pair in pairs) and module.dilation == (1, 1)
    if not square or module.padding_mode not in PADDING:
        raise Whole
    window = {"kernel": module.kernel_size[0], "stride": module.stride[0], "padding": module.padding[0]}

    def run(strip: Tensor) -> Tensor:
        return F.conv2d(strip, module.weight, module.bias, module.stride, groups=module.groups)

    return Layer(below, run, **window, mode=PADDING[module.padding_mode])


def _normalised(below: Rows, module: nn.InstanceNorm2d, size: int) -> Rows:
    """nn.InstanceNorm2d by the statistics of the whole layer below, gathered strip by strip."""
    positions, kept = below.height * below.width, None
    mean = scatter = torch.zeros((), dtype=torch.float64)  # scatter: the sum of squared distances from the mean
    for start, stop in below.strips():
        strip = below.read(start, stop)
        if strip.shape[1] * positions <= KEPT_PER_PIXEL * size:
            kept = kept or Kept(below)
            kept.write(start, stop, strip)
        centre = strip.mean(dim=(0, 2, 3))
        # Five times faster than torch.var_mean on a CPU, and as exact since the mean is taken off first.
        spread = torch.linalg.vector_norm(strip.sub_(centre[:, None, None]), dim=(0, 2, 3))
        # In fp64, which not every accelerator has.
        shift, part = centre.cpu().double() - mean, (stop - start) / stop
        mean = mean + shift * part
        scatter = scatter + spread.cpu().double() ** 2 + shift**2 * (stop - start) * below.width * (1 - part)
    scale = (scatter / positions + module.eps).rsqrt()
    if module.affine:
        scale = scale * module.weight.cpu()
    offset = (module.bias.cpu() if module.affine else 0) - mean * scale
    scale, offset = (part.float().to(strip.device)[:, None, None] for part in (scale, offset))
    return Layer(kept or below, lambda strip: torch.addcmul(offset, strip, scale))
