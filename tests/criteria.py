"""A criterion without a run, for tests."""

from fst.config.schema import LossConfig
from fst.losses.criterion import Criterion
from fst.losses.vgg import VGGFeatures
from fst.methods.parts import build_terms


def build_criterion(features: VGGFeatures, **settings: object) -> Criterion:
    """Of settings as `style_layers`, on features that reach every layer that the terms name."""
    return Criterion(features, build_terms(LossConfig(**settings)))
