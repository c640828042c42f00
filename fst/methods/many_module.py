"""A network learns several styles at once: Dumoulin, Shlens and Kudlur 2017."""

from collections.abc import Callable

import torch
from torch import Tensor

from fst.losses.style_target import StyleTarget
from fst.methods.feedforward_module import Aim, FeedForwardStyleTransfer
from fst.networks import Network
from fst.stylefile import StyleInfo


class ManyStyles(FeedForwardStyleTransfer):
    """As for one style, but each photo of a batch is painted in a style of its own; styles take turns.

    Its network is a `fst.networks.conditional.Conditional`, its style has as many paintings as the network's table.
    """

    def drawn(self, count: int) -> Aim:
        return self._aim(self._paint, *self.turn(count, self.global_step * count))

    def turn(self, count: int, before: int) -> tuple[Tensor, StyleTarget]:
        """Style vectors (N, V) and targets of the styles whose turn it is, after so many a process."""
        first = before * self.trainer.world_size + count * self.global_rank
        places = torch.arange(first, first + count, device=self.device) % len(self.network.names)
        return self.network.table[places], self.style[places]

    def aims(self) -> dict[str, Aim]:
        table, paint = self.network.table, self.network.forward
        return {
            name: self._aim(paint, table[place : place + 1], self.style[place])
            for place, name in enumerate(self.network.names)
        }

    def trained_networks(self) -> dict[str, Network]:
        return {name: self.network.for_style({name: 1.0}) for name in self.network.names}

    def style_info(self) -> StyleInfo:
        """With the losses of each style."""
        info = super().style_info()
        if "losses" in info.training:
            figures = {name: self._figures(place, name) for place, name in enumerate(self.network.names)}
            if any(figures.values()):
                info.training["by_style"] = figures
        return info

    def _figures(self, place: int, name: str) -> dict[str, float]:
        """Content and style loss before their weights, and the objective, on held-out photos."""
        at = f"@{name}" if len(self.network.names) > 1 else ""
        keys = {"content": f"val/content_loss{at}", "style": f"val/style_loss{at}", "total": f"val/loss{at}"}
        metrics = self.trainer.callback_metrics
        figures = {figure: float(metrics[key]) for figure, key in keys.items() if key in metrics}
        if "style" in figures and self.style.weights is not None:
            figures["style"] /= self.style.weights[place].item()
        return figures

    @staticmethod
    def _aim(paint: Callable[..., Tensor], vectors: Tensor, style: StyleTarget) -> Aim:
        return Aim(style, lambda photos: paint(photos, vectors))
