"""The network contract, and the registry of networks.

A transform network is one file in this folder with a registered class, as in README's "Add a network". Its name is the
class's in snake case (`network=plain`). Its constructor's signature is its config schema, read without importing torch
(`fst.config.signatures`), so annotations are plain types, defaults are literals and what is inherited is written again;
the first line of its docstring is its help. It checks its own values and raises UserError for those that make no sense.

Settings and style files are checked by making the network on torch's meta device, where a tensor has a shape and no
values: a constructor may fill and copy tensors, but not read them (`.item()`, `.tolist()`, `if tensor`).
"""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from fst.networks.blocks import centred, uncentred
from fst.values import Registry

NETWORKS = Registry()
register = NETWORKS.register


class Network(nn.Module):
    """A picture in [0, 1] to a picture in [0, 1] of the same size: `after(layers(before(image)))`.

    Training, painting in strips, rewriting for speed, ONNX, OpenVINO and int8 use exactly these three, so that a
    network is painted the same way everywhere.
    """

    # Where they are made of modules that can be computed a few rows at a time, large images are painted in strips; else
    # they are painted whole.
    layers: nn.Sequential
    strips: bool = True  # False for a network that must be painted whole though its modules do not show it
    multiple: int = 4  # height and width must be multiples of it: the network's total stride
    smallest: int = 16  # the least height and width that its paddings need
    full_resolution: bool = True  # has features as large as the image (`torch.compile` repays there on a CPU)

    def before(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] to what `layers` take. Pixel by pixel: it may not look at neighbours."""
        return centred(image)

    def after(self, features: Tensor) -> Tensor:
        """What `layers` give to (N, 3, H, W) in about [0, 1]. Pixel by pixel as well."""
        return uncentred(features)

    def stylize(self, image: Tensor) -> Tensor:
        """Stylize (N, 3, H, W) in [0, 1] whose height and width fit: multiples of `multiple`, at least `smallest`."""
        return self.after(self.layers(self.before(image)))

    def forward(self, image: Tensor) -> Tensor:
        """Stylize (N, 3, H, W) in [0, 1] of any size: padded by reflection to a fitting one, and cropped again."""
        height, width = image.shape[-2:]
        bottom = max(-height % self.multiple, self.smallest - height)
        right = max(-width % self.multiple, self.smallest - width)
        if bottom == 0 and right == 0:
            return self.stylize(image)
        # Reflection needs more pixels than it adds; an image of a few pixels has only its edge to repeat.
        mode = "reflect" if bottom < height and right < width else "replicate"
        return self.stylize(F.pad(image, (0, right, 0, bottom), mode=mode))[..., :height, :width]


def framed(paint: Callable[[Tensor], Tensor], image: Tensor, margin: int) -> Tensor:
    """What `paint` makes of (N, 3, H, W) with `margin` mirrored pixels around it, cut off again.

    A network is paler at the edge that it sees; infer.py paints so, and whoever tells how good it is does, too. A side
    of fewer pixels than the margin is mirrored as far as it goes.
    """
    height, width = image.shape[-2:]
    down, across = min(margin, height - 1), min(margin, width - 1)
    painted = paint(F.pad(image, (across, across, down, down), mode="reflect"))
    return painted[..., down : down + height, across : across + width]
