"""Cut a style's real-time network down to fewer channels and blocks: python -m experiments.architectures.cut STYLE FILE

At the coarsest resolution goes the residual block, and then go the channels, without which pictures of the store's
photos change least. What is left is a beginning for `method.init_from`. Prints how far its pictures are from before.
"""

import argparse
import dataclasses
from pathlib import Path

import torch
from torch import Tensor

from fst import images, store, stylefile
from fst.errors import UserError, one_line_errors
from fst.networks.realtime import Realtime
from fst.stylize import styles

PHOTOS, SIDE = 8, 256
BODY = "layers.2.body.2.body."  # of the coarsest resolution: down, residual blocks, up
Weights = dict[str, Tensor]


class Cut:
    """A network of three resolutions that loses blocks and channels at the coarsest.

    Args:
        network: the network.
        depth: its blocks there.
        photos: (N, 3, H, W) in [0, 1], on which pictures are compared.
    """

    def __init__(self, network: Realtime, depth: int, photos: Tensor) -> None:
        self.network, self.photos = network, photos
        self.weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        self.blocks = list(range(1, depth + 1))
        self.up = depth + 1
        self.before = network(photos)

    def deviation(self, weights: Weights) -> float:
        """Root mean square of what pictures by these weights differ from those before, in levels of 255."""
        self.network.load_state_dict(weights)
        return (self.network(self.photos) - self.before).square().mean().sqrt().item() * 255

    def drop_block(self) -> None:
        """Take away the block that is missed least."""
        least = min(self.blocks, key=lambda block: self.deviation(self._without(self._outputs([block]))))
        self.weights = self._without(self._outputs([least]))
        self.blocks.remove(least)

    def inner_channels(self, block: int, width: int) -> list[int]:
        """The channels between a block's two convolutions that are kept, the others zeroed."""
        return self._keep([f"{BODY}{block}.body.0.1"], width)

    def outer_channels(self, width: int) -> list[int]:
        """The channels that blocks add to that are kept, the others zeroed."""
        return self._keep([f"{BODY}0.1", *self._outputs(self.blocks)], width)

    def _keep(self, norms: list[str], width: int) -> list[int]:
        channels = range(len(self.weights[f"{norms[0]}.weight"]))
        missed = [self.deviation(self._without(norms, [channel])) for channel in channels]
        kept = sorted(sorted(channels, key=lambda channel: -missed[channel])[:width])
        self.weights = self._without(norms, [channel for channel in channels if channel not in kept])
        return kept

    def _without(self, norms: list[str], channels: list[int] | None = None) -> Weights:
        """The weights with scales and shifts of normalisations zeroed: of all channels, or of some."""
        weights = dict(self.weights)
        for name in (f"{norm}.{kind}" for norm in norms for kind in ("weight", "bias")):
            weights[name] = weights[name].clone()
            weights[name][channels if channels is not None else slice(None)] = 0
        return weights

    @staticmethod
    def _outputs(blocks: list[int]) -> list[str]:
        return [f"{BODY}{block}.body.1.1" for block in blocks]


def cut(network: Realtime, depth: int, photos: Tensor, width: int, blocks: int) -> Weights:
    """The weights of `Realtime` with so many channels and blocks at the coarsest of three resolutions."""
    own = Cut(network, depth, photos)
    while len(own.blocks) > blocks:
        own.drop_block()
    inner = {block: own.inner_channels(block, width) for block in own.blocks}
    outer = own.outer_channels(width)
    kept = {name: tensor for name, tensor in own.weights.items() if not name.startswith(BODY)}
    kept |= {f"{BODY}0{rest}": tensor[outer] for rest, tensor in _below(own.weights, f"{BODY}0")}
    for place, block in enumerate(own.blocks, start=1):
        first, second = f"{BODY}{block}.body.0", f"{BODY}{block}.body.1"
        for name, rows, columns in ((first, inner[block], outer), (second, outer, inner[block])):
            target = name.replace(f"{BODY}{block}", f"{BODY}{place}")
            for rest, tensor in _below(own.weights, name):
                kept[f"{target}{rest}"] = tensor[rows][:, columns] if tensor.ndim == 4 else tensor[rows]
    for rest, tensor in _below(own.weights, f"{BODY}{own.up}"):
        kept[f"{BODY}{blocks + 1}{rest}"] = tensor[:, outer] if tensor.ndim == 4 else tensor
    return kept


def _below(weights: Weights, name: str) -> list[tuple[str, Tensor]]:
    return [(key.removeprefix(name), tensor) for key, tensor in weights.items() if key.startswith(f"{name}.")]


def some_of(folder: Path) -> Tensor:
    """The middle squares of some of a folder's photos, all of a few, (N, 3, SIDE, SIDE) in [0, 1]."""
    found = images.files(folder)
    some = found[:: max(1, len(found) // PHOTOS)]
    return torch.cat([images.to_tensor(images.square(images.read(one), SIDE)) for one in some])


@torch.inference_mode()
def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("style")
    parser.add_argument("file", type=Path)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--blocks", type=int, default=3)
    given = parser.parse_args()
    style = styles.find(given.style)
    settings = style.info.settings
    if style.info.network != "realtime" or len(settings["widths"]) != 3 or list(settings["depths"][:2]) != [0, 1]:
        raise UserError(
            f"{given.style} is no real-time network of three resolutions, with blocks 0, 1 at the finer ones"
        )
    folder = store.find("photos")
    if folder is None:
        raise UserError(f"{store.home()}/photos does not exist: put a few photos there")
    photos = some_of(folder)
    own = style.network()
    before = own(photos)
    weights = cut(own, settings["depths"][-1], photos, given.width, given.blocks)
    settings = {
        **settings,
        "widths": [*settings["widths"][:-1], given.width],
        "depths": [*settings["depths"][:-1], given.blocks],
    }
    smaller = Realtime(**settings).eval()
    smaller.load_state_dict(weights)
    deviation = (smaller(photos) - before).square().mean().sqrt().item() * 255
    stylefile.save(given.file, smaller, dataclasses.replace(style.info, settings=settings, int8={}))
    print(f"{given.file}: {deviation:.1f} of 255 levels from before")


if __name__ == "__main__":
    with one_line_errors():
        main()
