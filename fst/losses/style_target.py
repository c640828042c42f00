"""The style to reach, as a value: Gram matrices that can be indexed, mixed and sent to a device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class StyleTarget:
    """Gram matrices of S paintings, of S regions, or one for all; `criterion.style_target(paintings)` makes one.

    Several styles in one batch are `target[indices]`; a mixture of paintings is `combine(targets, shares)`.
    """

    grams: dict[tuple[float, str], Tensor]  # by scale and layer, each (S, C, C)
    weights: Tensor | None = None  # (S,), what each painting's style loss is multiplied with, where they differ

    def __len__(self) -> int:
        return len(next(iter(self.grams.values()), ()))

    def __getitem__(self, index: int | slice | Sequence[int] | Tensor) -> StyleTarget:
        """The paintings of that index: an int keeps the batch dimension, a tensor of N indices gives N of them."""
        chosen = slice(index, index + 1 or None) if isinstance(index, int) else index
        return self._each(lambda paintings: paintings[chosen])

    def to(self, device: torch.device | str) -> StyleTarget:
        return self._each(lambda paintings: paintings.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> StyleTarget:
        weights = None if self.weights is None else change(self.weights)
        return StyleTarget({key: change(gram) for key, gram in self.grams.items()}, weights)

    def energy(self, layer_weights: dict[str, float]) -> Tensor:
        """(S,): Σ over scales and layers of each target's mean square: the style loss of a picture without features."""
        return sum(layer_weights[layer] * gram.square().mean((1, 2)) for (_, layer), gram in self.grams.items())


def combine(targets: Sequence[StyleTarget], shares: Tensor) -> StyleTarget:
    """The weighted mean of P targets of the same layers (Gatys et al. 2016).

    Shares are (P, 1), or (P, S) where regions have shares of their own; normalised over P.
    """
    weights = shares[:, :, None, None].to(next(iter(targets[0].grams.values())).device)
    weights = weights / weights.sum(0)
    mixed = {
        key: sum(weight * target.grams[key] for weight, target in zip(weights, targets, strict=True))
        for key in targets[0].grams
    }
    return StyleTarget(mixed)


def batched(targets: Sequence[StyleTarget]) -> StyleTarget:
    """Targets of the same layers as one, their paintings after each other; with weights, where each has some."""
    weights = [target.weights for target in targets if target.weights is not None]
    grams = {key: torch.cat([target.grams[key] for target in targets]) for key in targets[0].grams}
    return StyleTarget(grams, torch.cat(weights) if len(weights) == len(targets) else None)
