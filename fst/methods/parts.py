"""What methods have in common: from settings to criterion, painting, style weight and accelerator."""

import dataclasses

import numpy as np
import torch

from fst.config.schema import AUTO, LossConfig, StyleConfig, TrainConfig
from fst.config.several import is_many
from fst.config.signatures import registered
from fst.data.paintings import SWATCHES, located, painting
from fst.errors import UserError
from fst.losses.criterion import Criterion
from fst.losses.style_target import StyleTarget
from fst.losses.term import Term
from fst.losses.terms import TERMS
from fst.losses.weights import load_features

UNIT = 1e5  # the style weight for The Starry Night
STARRY_NIGHT = 323.0  # that times its target's energy, at 512 pixels, to relu3_3
LEAST, MOST = 2.5e4, 3e5  # automatic style weights


def read_painting(style: StyleConfig) -> np.ndarray:
    """`fst.data.paintings.painting`, with `style.image` set to the swatch where one stands in: it stays the same."""
    file = located(style)
    if file.parent == SWATCHES:
        style.image = str(file)
    return painting(style)


def criterion(loss: LossConfig) -> Criterion:
    """The criterion of a config, channels last, features in fp32; a weight of "auto" is 1 until it is decided."""
    layers = [*loss.content_layers, *loss.style_layers]
    features = load_features(layers, loss.weights, architecture=loss.architecture, pooling=loss.pooling)
    return Criterion(features.to(memory_format=torch.channels_last), build_terms(loss))


def build_terms(loss: LossConfig) -> dict[str, tuple[float, Term]]:
    """Weight and term of every loss term of a config, by name; UserError for a value that a term refuses."""
    terms = {}
    for name, signature in registered("losses/terms").items():
        settings = {key: getattr(loss, f"{name}_{key}") for key in signature.arguments}
        weight = getattr(loss, f"{name}_weight")
        terms[name] = (1.0 if weight == AUTO else weight, TERMS[name](**settings))
    return terms


def decide_style_weight(config: TrainConfig, criterion: Criterion, style: StyleTarget) -> StyleTarget:
    """What `loss.style_weight=auto` becomes: for a network of one style, a number, put into config and criterion.

    For one of many, the criterion's is 1e5 and the target returned has the rest of each painting's own; the config,
    which has room for one number, stays at auto.
    """
    if config.loss.style_weight != AUTO:
        return style
    from pytorch_lightning.utilities import rank_zero_only  # here: settings are checked without Lightning, sooner

    weights = [automatic_style_weight(energy) for energy in style.energy(criterion.style.layer_weights).tolist()]
    rank_zero_only(print)(f"loss.style_weight=auto is {', '.join(f'{weight:g}' for weight in weights)}")
    if not is_many(config):
        config.loss.style_weight = criterion.weights["style"] = weights[0]
        return style
    criterion.weights["style"] = UNIT
    return dataclasses.replace(style, weights=torch.tensor(weights) / UNIT)


def automatic_style_weight(energy: float) -> float:
    """The style weight for a painting whose `StyleTarget.energy` that is, to two digits.

    Paintings differ sixfold in the size of their Gram matrices, and so do style losses at the same likeness. With
    this weight the weighted style loss of a featureless picture is the same for all of them: what it is for The Starry
    Night at 1e5 (experiments/style_weight). It keeps between 2.5e4 and 3e5: beyond, a painting of hardly any or of
    very strong texture would leave nothing of the photo, or of the paint.
    """
    return min(max(float(f"{STARRY_NIGHT / energy:.2g}"), LEAST), MOST)


def accelerator(requested: str) -> str:
    """cpu, cuda or mps: what the run will use; UserError where a GPU was asked for, and there is none."""
    if requested == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if requested in ("gpu", "cuda"):
        if not torch.cuda.is_available():
            raise UserError("trainer=gpu, but torch finds no GPU; use trainer=auto or trainer=cpu")
        return "cuda"
    return requested
