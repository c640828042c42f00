"""The few blocks every transform network is made of."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fst.values import one_of


def normalisation(kind: str, channels: int) -> nn.Module:
    """Instance normalisation (Ulyanov et al. 2016) or batch normalisation, with a learnt scale and shift."""
    one_of("network.norm", kind, ("instance", "batch"))
    return nn.InstanceNorm2d(channels, affine=True) if kind == "instance" else nn.BatchNorm2d(channels)


class ConvBlock(nn.Sequential):
    """Upsample (nearest), reflection pad, convolve, normalise, ReLU: each part but the convolution optional.

    Resizing draws no checkerboard as a transposed convolution does (Odena et al. 2016), reflection no border as zeros.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        upsample: int = 1,
        norm: str | None = "instance",
        relu: bool = True,
    ) -> None:
        layers: list[nn.Module] = []
        if upsample > 1:
            layers.append(nn.Upsample(scale_factor=upsample, mode="nearest"))
        layers.append(nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, padding_mode="reflect"))
        if norm is not None:
            layers.append(normalisation(norm, outputs))
        if relu:
            layers.append(nn.ReLU())
        super().__init__(*layers)


class ResizedConv(ConvBlock):
    """Nearest upsampling and a convolution, no norm and no ReLU, computed at the smaller resolution.

    The kernel is 2·upsample - 1 pixels across, the most that sees no further than a square's neighbours: each pixel of
    a square sees other shares of them, so that edges are sharp within squares too. All pixels of a flat place come out
    alike whatever the weights, so that no grid is drawn as by sub-pixel upsampling (Shi et al. 2016).
    """

    def __init__(self, inputs: int, outputs: int, upsample: int) -> None:
        super().__init__(inputs, outputs, 2 * upsample - 1, upsample=upsample, norm=None, relu=False)
        self.upsample = upsample
        # [pixel of a square][row or column of the kernel][which of three neighbours it sees there]: 1 where it does.
        # A buffer, so that no step has to make it or move it to a GPU; of plain numbers, as nothing is computed on the
        # meta device, where files are checked.
        size = 2 * upsample - 1
        sees = [[(pixel + tap + 1) // upsample for tap in range(size)] for pixel in range(upsample)]
        shares = [[[float(seen == neighbour) for neighbour in range(3)] for seen in taps] for taps in sees]
        self.register_buffer("shares", torch.tensor(shares), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        # The edge repeated, which is what reflection is after upsampling. Not by F.pad(mode="replicate"): torch 2.15
        # cannot compile its gradient for channels-last tensors.
        x = torch.cat([x[:, :, :1], x, x[:, :, -1:]], 2)
        x = torch.cat([x[..., :1], x, x[..., -1:]], 3)
        return F.pixel_shuffle(F.conv2d(x, self._kernel(), self._bias()), self.upsample)

    @torch.no_grad()
    def folded(self) -> list[nn.Module]:
        """The same in layers of torch: a convolution at the smaller resolution and a pixel shuffle."""
        kernel = self._kernel()
        convolution = nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, padding=1, padding_mode="replicate")
        convolution.weight, convolution.bias = nn.Parameter(kernel), nn.Parameter(self._bias())
        return [convolution.requires_grad_(False), nn.PixelShuffle(self.upsample)]

    def _kernel(self) -> Tensor:
        """(outputs · upsample², inputs, 3, 3): the kernel, summed over what nearest neighbours repeat."""
        kernel = torch.einsum("yra,xcb,oirc->oyxiab", self.shares, self.shares, self[1].weight)
        return kernel.reshape(-1, kernel.shape[3], 3, 3)

    def _bias(self) -> Tensor:
        return self[1].bias.repeat_interleave(self.upsample**2)


class Residual(nn.Module):
    """x + body(x), for a body that keeps the shape: a residual block, or a skip over layers at coarser resolutions."""

    def __init__(self, *body: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class ResidualBlock(Residual):
    """x + convolve(convolve(x)), the last without ReLU (Gross and Wilber 2016, as Johnson et al. use it)."""

    def __init__(self, channels: int, norm: str = "instance") -> None:
        super().__init__(
            ConvBlock(channels, channels, 3, norm=norm), ConvBlock(channels, channels, 3, norm=norm, relu=False)
        )


def centred(image: Tensor) -> Tensor:
    """[0, 1] to about zero mean and unit deviation, where the usual initialisation works best."""
    return (image - 0.5) * 4


def uncentred(image: Tensor) -> Tensor:
    """The inverse of `centred`."""
    return image * 0.25 + 0.5
