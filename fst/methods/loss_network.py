"""`loss=auto`: the best loss network that is to be had on this machine."""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf

from fst.config.schema import AUTO
from fst.errors import UserError
from fst.losses.names import BUNDLED, HEADS, SMALL, layer_names, tappable
from fst.losses.weights import load_weights

SHALLOW = list(HEADS)[-1]  # relu3_3: the deepest layer of partial weight files and of vgg16_small


def choose(loss: DictConfig) -> tuple[DictConfig, str | None]:
    """The loss config with `architecture: auto` decided, and the line that says so if it is less than was asked for.

    In this order: VGG-16 with every layer asked for, weights from the store or downloaded; VGG-16 to relu3_3, if the
    store's weights reach so far; the bundled vgg16_small. The latter two leave deeper style layers out.

    Raises:
        UserError: none will do: a content layer, or all style layers, are deeper than relu3_3 or unknown to
            vgg16_small, and VGG-16's weights cannot be had.
    """
    if loss.architecture != AUTO:
        return loss, None
    whole = OmegaConf.merge(loss, {"architecture": "vgg16"})
    try:
        load_weights(whole.weights, _layers(whole))
    except UserError as error:
        why = str(error)
    else:
        return whole, None
    shallow = _to_relu3_3(whole)
    try:
        load_weights(shallow.weights, _layers(shallow))
    except UserError:
        shallow = OmegaConf.merge(shallow, {"architecture": SMALL, "weights": BUNDLED})
    if not shallow.style_layers or not set(_layers(shallow)) <= set(tappable(shallow.architecture)):
        raise UserError(f"loss=auto has no {', '.join(_layers(whole))} without VGG-16's weights: {why}")
    return shallow, f"loss=auto takes {_title(shallow.architecture)}, to {SHALLOW}: {why}"


def _to_relu3_3(loss: DictConfig) -> DictConfig:
    names = layer_names("vgg16")
    kept = [i for i, layer in enumerate(loss.style_layers) if names.index(layer) <= names.index(SHALLOW)]
    weights = loss.style_layer_weights
    return OmegaConf.merge(
        loss,
        {
            "style_layers": [loss.style_layers[i] for i in kept],
            "style_layer_weights": None if weights is None else [weights[i] for i in kept],
        },
    )


def _layers(loss: DictConfig) -> list[str]:
    return [*loss.content_layers, *loss.style_layers]


def _title(architecture: str) -> str:
    return "vgg16_small, which comes with fst" if architecture == SMALL else "VGG-16"
