"""A network learns to paint in the style of any painting: Ghiasi et al. 2017."""

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from fst import images
from fst.config.schema import StyleConfig
from fst.config.several import fit
from fst.data.painting_crops import crops, split
from fst.data.paintings import painting
from fst.errors import UserError
from fst.files import uniquely
from fst.losses.criterion import Criterion
from fst.losses.names import HEADS
from fst.losses.student import read, student
from fst.losses.style_target import StyleTarget, batched
from fst.methods.feedforward_module import Aim, ManyStyles
from fst.methods.parts import UNIT, suited
from fst.networks import Network

MIXED = 0.25  # of the paintings that are drawn: mixtures of two
UNSEEN = 4  # held-out paintings that it is validated and previewed on
SLOWER = 0.1  # the predictor's learning rate, of the others'

Read = dict[str, Tensor]  # Gram matrices by layer, as a predictor reads them


class Shelf:
    """Crops of paintings as the losses and the predictor see them, in 16 bits, half of each symmetric matrix.

    Files that cannot be read are passed over; UserError if that leaves none. All is on the criterion's device.
    """

    def __init__(self, files: Iterable[Path], criterion: Criterion, seed: int) -> None:
        self.layer_weights = criterion.style.layer_weights
        device = criterion.features.mean.device
        features = student().to(device)
        seen: list[dict] = []
        for number, file in enumerate(files):
            try:
                pictures = [crop.to(device) for crop in crops(file, seed + number)]
            except UserError:
                continue
            grams = criterion.style_target(pictures).grams | read(features, pictures)
            seen.append({key: _packed(gram) for key, gram in grams.items()})
        if not seen:
            raise UserError("none of style.paintings can be read")
        # By (scale, layer) what to reach, by layer what is read.
        self.grams = {key: torch.cat([one[key] for one in seen]) for key in seen[0]}

    def draw(self, count: int) -> tuple[StyleTarget, Read]:
        """What to reach for so many paintings, and what is read of them; some are mixtures of two."""
        places = torch.randint(len(next(iter(self.grams.values()))), (2, count))
        share = torch.rand(count, 1) * (torch.rand(count, 1) < MIXED)
        grams = {
            key: _unpacked(torch.lerp(*packed[places].float(), share.to(packed.device)))
            for key, packed in self.grams.items()
        }
        seen = {layer: grams.pop(layer) for layer in HEADS}
        return weighted(StyleTarget(grams), self.layer_weights), seen


def weighted(target: StyleTarget, layer_weights: dict[str, float]) -> StyleTarget:
    """The target with the weight that suits each painting."""
    return StyleTarget(target.grams, suited(target.energy(layer_weights)) / UNIT)


class AnyStyle(ManyStyles):
    """As for many styles, but half of each batch is painted in styles that the predictor reads from paintings."""

    shelf: Shelf  # the paintings to learn from
    unseen: dict[str, tuple[StyleTarget, Read]]  # what to reach for held-out ones, to validate on, and what is read

    def hang(self, style: StyleConfig, seed: int) -> None:
        """Read the folder `style.paintings`: what to learn from, and some held-out ones at `style.size`."""
        learnt, held_out = split(style.paintings)
        files = held_out[:: -(-len(held_out) // UNSEEN)]
        pictures = [painting(StyleConfig("custom", str(file), style.size)) for file in files]
        print(f"reading {len(learnt)} paintings")
        self.shelf, self.unseen = Shelf(learnt, self.criterion, seed), {}
        device = self.criterion.features.mean.device
        features = student().to(device)
        names = uniquely([*self.network.names, *(fit(file.stem) for file in files)])[len(self.network.names) :]
        for name, pixels in zip(names, pictures, strict=True):
            picture = images.to_tensor(pixels).to(device)
            target = weighted(self.criterion.style_target([picture]), self.shelf.layer_weights)
            self.unseen[name] = (target, read(features, [picture]))

    def drawn(self, count: int) -> Aim:
        pairs, odd = divmod(self.global_step, 2)  # of two steps, one paints the more of the table where a batch is odd
        predicted = (count + odd) // 2
        vectors, style = self.turn(count - predicted, pairs * count + odd * (count - count // 2))
        if not predicted:
            return self._aim(self._paint, vectors, style)
        target, seen = self.shelf.draw(predicted)
        style = StyleTarget(style.grams, torch.ones(len(vectors)) if style.weights is None else style.weights)
        both = batched([style.to(self.device), target.to(self.device)])
        return self._aim(self._paint, torch.cat([vectors, self.predicted(seen)]), both)

    def predicted(self, seen: Read) -> Tensor:
        """Style vectors (N, V) of what is read of paintings, in fp32."""
        with torch.autocast(self.device.type, enabled=False):
            return self.network.predictor({layer: gram.to(self.device) for layer, gram in seen.items()})

    def aims(self) -> dict[str, Aim]:
        paint = self.network.forward
        return super().aims() | {
            name: self._aim(paint, self.predicted(seen), target.to(self.device))
            for name, (target, seen) in self.unseen.items()
        }

    def trained_networks(self) -> dict[str, Network]:
        read_ones = {name: self.network.folded(self.predicted(seen)) for name, (_, seen) in self.unseen.items()}
        return super().trained_networks() | read_ones

    def _optimizer(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        slow = list(self.network.predictor.parameters())
        others = [parameter for parameter in parameters if all(parameter is not one for one in slow)]
        optimizer = super()._optimizer(others)
        optimizer.add_param_group({"params": slow, "lr": SLOWER * self.settings.learning_rate, "muon": False})
        return optimizer


def _packed(grams: Tensor) -> Tensor:
    """(N, C, C) to the upper triangle (N, C·(C+1)/2), in 16 bits, times C to be of order one."""
    rows, columns = torch.triu_indices(*grams.shape[1:], device=grams.device)
    return (grams[:, rows, columns] * grams.shape[1]).half()


def _unpacked(packed: Tensor) -> Tensor:
    """The inverse of `_packed`, in fp32."""
    channels = int((2 * packed.shape[1]) ** 0.5)
    rows, columns = torch.triu_indices(channels, channels, device=packed.device)
    packed = packed.float()
    grams = packed.new_empty(len(packed), channels, channels)
    grams[:, rows, columns] = grams[:, columns, rows] = packed / channels
    return grams
