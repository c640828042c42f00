"""The criterion: a dictionary of loss terms, summed with their weights (Johnson et al. 2016, section 3.2).

F are the features, (C, H, W), of one frozen VGG. Each term is a file in `fst/losses/terms`. Gram matrices and means are
computed in fp32 whatever the precision of the features. What to reach, photo's features and paintings' Gram matrices,
are values that are handed in: the criterion has no hidden state.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fst.errors import UserError
from fst.losses.gram import gram_matrix, scaled
from fst.losses.names import layer_names, smallest_side
from fst.losses.style_target import StyleTarget, batched
from fst.losses.term import Step, Term
from fst.losses.terms.style import Style
from fst.losses.vgg import VGGFeatures


@dataclass(frozen=True)
class Losses:
    """The terms of one evaluation: scalars before their weights, and the weights."""

    values: dict[str, Tensor]
    weights: dict[str, float]
    parts: dict[str, Tensor]  # what terms are sums of, as style_loss/relu1_2

    @property
    def total(self) -> Tensor:
        return sum(self.weights[name] * value for name, value in self.values.items())

    def named(self) -> dict[str, Tensor]:
        """Every term under its metric name, without and with its weight: loss, content_loss, content_loss_weighted."""
        values = {f"{name}_loss": value for name, value in self.values.items()}
        weighted = {f"{name}_loss_weighted": self.weights[name] * value for name, value in self.values.items()}
        return {"loss": self.total, **values, **weighted}

    def detached(self) -> Losses:
        values, parts = ({name: one.detach() for name, one in of.items()} for of in (self.values, self.parts))
        return Losses(values, self.weights, parts)

    def check_finite(self, when: str) -> None:
        """Raise UserError if the total is not finite: `when`, as "at step 3", and by which term."""
        if torch.isfinite(self.total):
            return
        infinite = [f"{name} loss" for name, value in self.values.items() if not torch.isfinite(value)]
        raise UserError(
            f"{when} the {[*infinite, 'weighted sum of the losses'][0]} is not finite; the usual causes: "
            "method.learning_rate or loss.style_weight too high, 16-mixed precision, damaged weights"
        )


def room(terms: Mapping[str, tuple[float, Term]]) -> int:
    """Pixels of a photo beyond the picture, across and down, that terms with a weight want to see in training."""
    return max((term.room for weight, term in terms.values() if weight), default=0)


def least_edge(terms: Iterable[Term]) -> tuple[int, str]:
    """The short side, in pixels, that pictures need for every layer at every scale; and the layer that needs it."""
    asked = [
        (math.ceil(smallest_side([layer]) / scale), layer)
        for term in terms
        for scale, layers in [(1.0, term.photo_layers), *term.painted_layers().items()]
        for layer in layers
    ]
    return max(asked, default=(2, "no layer"))


class Criterion(nn.Module):
    """What a picture is compared by: loss terms on one frozen feature extractor.

    Args:
        features: reaches every layer that the terms name.
        terms: name to (weight, term). Terms of weight 0 are left out.
    """

    def __init__(self, features: VGGFeatures, terms: Mapping[str, tuple[float, Term]]) -> None:
        super().__init__()
        self.features = features
        self.terms = nn.ModuleDict({name: term for name, (weight, term) in terms.items() if weight})
        self.weights = {name: weight for name, (weight, _) in terms.items() if weight}
        self.room = room(terms)
        self.content_layers = list(dict.fromkeys(layer for term in self.terms.values() for layer in term.photo_layers))

    @property
    def style(self) -> Style | None:
        """The style term, if it has a weight."""
        return dict(self.terms.items()).get("style")

    @torch.no_grad()
    def style_target(self, paintings: Sequence[Tensor], regions: Sequence[Tensor] | None = None) -> StyleTarget:
        """The Gram matrices of paintings, one after the other; of their regions, where masks are given.

        Args:
            paintings: each (1, 3, H, W) in [0, 1]; sizes may differ.
            regions: a painting's masks (R, 1, H, W) in [0, 1]; the target then has R a painting.

        Raises:
            UserError: a painting smaller than the deepest layer needs.
        """
        if self.style is None:
            return StyleTarget({})
        masks = regions or [None] * len(paintings)
        return batched([self._target(painting, mask) for painting, mask in zip(paintings, masks, strict=True)])

    @torch.no_grad()
    def content_target(self, photo: Tensor) -> dict[str, Tensor]:
        """The photo's features at the layers that terms compare with, computed no deeper and without gradient."""
        if not self.content_layers:
            return {}
        with torch.autocast(photo.device.type, enabled=False):
            return self.features(photo.float(), self.content_layers)

    def forward(self, painted: Tensor, content: dict[str, Tensor], style: StyleTarget, **more: Any) -> Losses:
        """Compare RGB (N, 3, H, W) in about [0, 1] with a `content_target` and a `style_target`.

        Args:
            painted: the pictures.
            content: the photos' features; terms that compare with a photo are 0 without.
            style: of 1 painting for all, or N, one a picture; with regions, of R.
            more: what else `Step` has. Terms that are about a network are left out without its `paint`.

        Raises:
            UserError: a term returns something else than scalar tensors.
        """
        values, parts = {}, {}
        with torch.autocast(painted.device.type, enabled=False):
            step = Step(painted.float(), content, style, self.features, self._wanted(content), **more)
            for name, term in self.terms.items():
                if term.needs_network and step.paint is None:
                    continue
                value = term(step)
                _check_scalars(name, value)
                if isinstance(value, dict):
                    parts |= {f"{name}_loss/{part}": one for part, one in value.items()}
                    value = sum(value.values(), step.painted.new_zeros(()))
                values[name] = value
        return Losses(values, self.weights, parts)

    def style_loss(self, pictures: Tensor, style: StyleTarget) -> Tensor:
        """The style term alone, before its weight, of RGB (N, 3, H, W) in [0, 1]: photos as they are, say."""
        with torch.autocast(pictures.device.type, enabled=False):
            wanted = {scale: list(layers) for scale, layers in self.style.painted_layers().items()}
            return sum(self.style(Step(pictures.float(), {}, style, self.features, wanted)).values())

    def _wanted(self, content: dict[str, Tensor]) -> dict[float, list[str]]:
        """The painted picture's layers by scale, content layers first."""
        wanted: dict[float, list[str]] = {1.0: list(content)}
        for term in self.terms.values():
            for scale, layers in term.painted_layers().items():
                known = wanted.setdefault(scale, [])
                known += [layer for layer in layers if layer not in known]
        return wanted

    def _target(self, painting: Tensor, regions: Tensor | None) -> StyleTarget:
        term, grams = self.style, {}
        for scale in term.scales:
            small = scaled(painting, scale)
            if min(small.shape[-2:]) < smallest_side(term.layers):
                height, width = painting.shape[-2:]
                deepest = max(term.layers, key=layer_names(self.features.architecture).index)
                raise UserError(f"the painting, {width}×{height}, is too small for {deepest}; raise style.size")
            found = self.features(small, term.layers)
            grams |= {(scale, layer): gram_matrix(found[layer], regions) for layer in term.layers}
        return StyleTarget(grams)


def _check_scalars(name: str, value: Any) -> None:
    """Raise UserError unless a term's value is a scalar tensor, or a dict of them: what else it is fails far away."""
    for one in value.values() if isinstance(value, dict) else [value]:
        if not isinstance(one, Tensor) or one.dim():
            found = f"a tensor {tuple(one.shape)}" if isinstance(one, Tensor) else f"a {type(one).__name__}"
            raise UserError(
                f"loss term {name} returns {found}; its forward must return a scalar tensor, as .mean() gives, "
                "or a dict of them"
            )
