"""The criterion and its gradient for large images in bounded memory, strip of rows by strip of rows, exactly.

Features are local and Gram matrices are sums over places, so each strip is computed from its own rows and the halo of
rows that its deepest layer sees. A first pass without gradient sums the Gram matrices; their distances to the targets
give the derivative by each matrix; a second pass carries it back, one strip at a time. That costs a forward pass more
than the whole image at once, and the memory of one strip.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from fst.losses.criterion import Criterion, Losses
from fst.losses.gram import scaled, style_distance
from fst.losses.names import block_and_index, layer_names
from fst.losses.style_target import StyleTarget
from fst.losses.terms.style import part_name
from fst.losses.terms.tv import total_variation


@dataclass(frozen=True)
class Strip:
    """Rows top to bottom of an image, of which rows first to last are needed to compute their features."""

    top: int
    bottom: int
    first: int
    last: int
    is_last: bool

    def crop(self, image: Tensor) -> Tensor:
        """The rows needed, of (N, C, H, W)."""
        return image[:, :, self.first : self.last]

    def places(self, layer: str) -> slice:
        """Where the strip's rows are in the whole image's features of a layer."""
        stride = _stride(layer)
        return slice(self.top // stride, None if self.is_last else self.bottom // stride)

    def inner(self, features: Tensor, layer: str) -> Tensor:
        """The strip's own rows of the features of its crop."""
        skipped = self.first // _stride(layer)
        rows = self.places(layer)
        return features[:, :, rows.start - skipped : None if rows.stop is None else rows.stop - skipped]


def strips(height: int, width: int, layers: Iterable[str], pixels: int, architecture: str = "vgg16") -> Iterator[Strip]:
    """Cut an image into strips of about `pixels` pixels (at least one row of the deepest layer), halos not counted."""
    deepest = max(layers, key=layer_names(architecture).index)
    stride = _stride(deepest)
    halo = -(-_reach(deepest, architecture) // stride) * stride
    rows = max(stride, pixels // width // stride * stride)
    tops = list(range(0, height, rows))
    if len(tops) > 1 and height - tops[-1] < stride:  # too few rows for a feature of their own
        tops.pop()
    for top in tops:
        bottom = height if top == tops[-1] else top + rows
        yield Strip(top, bottom, max(0, top - halo), min(height, bottom + halo), bottom == height)


def in_strips(criterion: Criterion) -> bool:
    """Whether every term of a criterion can be evaluated in strips; one that fst does not know may look anywhere."""
    return {name for name, term in criterion.terms.items() if not term.needs_network} <= {"content", "style", "tv"}


def evaluate_in_strips(
    criterion: Criterion,
    image: Tensor,
    content: dict[str, Tensor],
    style: StyleTarget,
    *,
    pixels: int,
    regions: Tensor | None = None,
) -> tuple[Losses, Tensor]:
    """The losses of `criterion(image, content, style)` and the gradient of their total, in strips.

    Args:
        criterion: of content, style and total variation alone (`in_strips`).
        image: RGB (1, 3, H, W).
        content: the photo's features, whole, from `content_target`.
        style: the style to reach.
        pixels: of a strip, halo not counted.
        regions: masks (R, 1, H, W).
    """
    leaf = image.detach().float().requires_grad_()
    gradient = torch.zeros_like(leaf)
    content_loss = leaf.new_zeros(())
    by_layer: dict[str, Tensor] = {}
    styles = list(criterion.style.scales) if criterion.style is not None else []
    for scale in dict.fromkeys([*styles, *([1.0] if content else [])]):
        with torch.enable_grad():
            small = scaled(leaf, scale)
        work = _Pass(criterion, small.detach(), content if scale == 1.0 else {}, style, pixels, regions)
        slopes = {}
        if scale in styles:
            distances, slopes = work.style_distances(scale)
            by_layer |= {part_name(layer, scale): value for layer, value in distances.items()}
        value, by_pixel = work.backward(slopes)
        content_loss = content_loss + value
        gradient += torch.autograd.grad(small, leaf, by_pixel)[0] if scale != 1.0 else by_pixel
    tv = leaf.new_zeros(())
    if "tv" in criterion.weights:
        with torch.enable_grad():
            tv = total_variation(leaf)
        gradient += criterion.weights["tv"] * torch.autograd.grad(tv, leaf)[0]
    style_loss = sum(by_layer.values(), leaf.new_zeros(()))
    values = {"content": content_loss, "style": style_loss, "tv": tv.detach()}
    weighed = {name: value for name, value in values.items() if name in criterion.weights}
    losses = Losses(weighed, criterion.weights, {"style": by_layer} if by_layer else {})
    return losses, gradient


class _Pass:
    """The two passes over an image at one scale."""

    def __init__(
        self,
        criterion: Criterion,
        image: Tensor,
        content: dict[str, Tensor],
        style: StyleTarget,
        pixels: int,
        regions: Tensor | None,
    ) -> None:
        self.criterion, self.image, self.content, self.regions = criterion, image, content, regions
        self.target = style
        self.layer_weights = criterion.style.layer_weights if criterion.style is not None else {}
        features = criterion.features
        layers = [*content, *self.layer_weights]
        self.strips = list(strips(*image.shape[-2:], layers, pixels, features.architecture))
        self.sizes = {layer: tuple(edge // _stride(layer) for edge in image.shape[-2:]) for layer in layers}

    @torch.no_grad()
    def style_distances(self, scale: float) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The style distance at each layer, and the derivative of the total by the layer's Gram matrices."""
        layers = list(self.layer_weights)
        grams: dict[str, Tensor] = {}
        for strip in self.strips:
            found = self.criterion.features(strip.crop(self.image), layers)
            for layer in layers:
                part = self._gram(strip, found[layer], layer)
                grams[layer] = grams[layer] + part if layer in grams else part
        distances, slopes = {}, {}
        for layer, weight in self.layer_weights.items():
            with torch.enable_grad():
                gram = grams[layer].requires_grad_()
                distance = weight * style_distance(gram, self.target.grams[scale, layer], self.regions)
                slopes[layer] = self.criterion.weights["style"] * torch.autograd.grad(distance, gram)[0]
            distances[layer] = distance.detach()
        return distances, slopes

    def backward(self, slopes: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The content loss, and the gradient of content and style by the image."""
        gradient = torch.zeros_like(self.image)
        content_loss = self.image.new_zeros(())
        for strip in self.strips:
            crop = strip.crop(self.image).clone().requires_grad_()
            with torch.enable_grad():
                found = self.criterion.features(crop, [*self.content, *slopes])
                total = crop.new_zeros(())
                for layer, target in self.content.items():
                    wanted = target[:, :, strip.places(layer)].float()
                    distance = F.mse_loss(strip.inner(found[layer], layer).float(), wanted, reduction="sum")
                    distance = distance / target.numel()
                    content_loss = content_loss + distance.detach()
                    total = total + self.criterion.weights["content"] * distance
                for layer, slope in slopes.items():
                    total = total + (slope * self._gram(strip, found[layer], layer)).sum()
            strip.crop(gradient).add_(torch.autograd.grad(total, crop)[0])
        return content_loss, gradient

    def _gram(self, strip: Strip, features: Tensor, layer: str) -> Tensor:
        """The strip's part of the Gram matrices of the whole image: (1, C, C), or one a region."""
        inner = strip.inner(features, layer).float()
        channels = inner.shape[1]
        pixels = inner.permute(0, 2, 3, 1).reshape(-1, channels)
        height, width = self.sizes[layer]
        if self.regions is None:
            return (pixels.T @ pixels)[None] / (channels * height * width)
        masks = F.interpolate(self.regions, (height, width), mode="area")
        totals = masks.sum((1, 2, 3)).clamp(min=1e-6)
        own = masks[:, :, strip.places(layer)].flatten(1)
        return torch.stack(
            [(pixels * m[:, None]).T @ pixels / (channels * n) for m, n in zip(own, totals, strict=True)]
        )


def _stride(layer: str) -> int:
    """Pixels of the image a feature stands for, each way."""
    return 2 ** (block_and_index(layer)[0] - 1)


def _reach(layer: str, architecture: str) -> int:
    """How many pixels beyond its own a feature sees, each way."""
    names = layer_names(architecture)
    passed = names[: names.index(layer) + 1]
    pools = block_and_index(layer)[0] - 1
    return sum(_stride(name) for name in passed) + sum(2**pool for pool in range(pools))
